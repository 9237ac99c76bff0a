//! Digits of small numbers from a table: for rows of the log and addresses in heads, where formatting would cost more than
//! all the rest. Larger numbers are itoa's.

/// Every number below a thousand as its three digits, the first one lowest, and above them how many zeros are in front
/// of its first digit that counts.
static THOUSAND: [u32; 1000] = {
    let mut table = [0; 1000];
    let mut number = 0;
    while number < 1000 {
        let digits = [number / 100, number / 10 % 10, number % 10];
        let zeros = if number >= 100 {
            0
        } else if number >= 10 {
            1
        } else {
            2
        };
        table[number as usize] = 0x30_3030 + (digits[0] | digits[1] << 8 | digits[2] << 16) + (zeros << 24);
        number += 1;
    }
    table
};

/// Three digits of `number`, which is below 1000, and the zeros in front.
#[inline(always)]
pub(crate) fn three_digits(number: u64) -> (u64, u32) {
    let entry = THOUSAND[number as usize % 1000];
    (u64::from(entry & 0xff_ffff), entry >> 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_the_zeros_in_front() {
        for number in 0..1000u64 {
            let (digits, zeros) = three_digits(number);
            let text = &digits.to_le_bytes()[..3];
            assert_eq!(text, format!("{number:03}").as_bytes());
            assert_eq!(&text[zeros as usize..], number.to_string().as_bytes());
        }
    }
}
