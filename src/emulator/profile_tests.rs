//! Profiles as text and as numbers.

use std::time::Duration;

use proptest::prelude::*;

use super::{LATENCY_MAX, Profile, Sampler};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn drawn(profile: &str, seed: u64, count: usize) -> Vec<Duration> {
    let mut sampler = Sampler::new(profile.parse().unwrap(), seed);
    (0..count).map(|_| sampler.draw()).collect()
}

/// In milliseconds, of 100,000 samples: mean, median, 99th percentile.
fn figures(profile: &str) -> (f64, f64, f64) {
    let mut samples: Vec<f64> =
        drawn(profile, 7, 100_000).iter().map(|sample| sample.as_secs_f64() * 1e3).collect();
    samples.sort_by(f64::total_cmp);
    (samples.iter().sum::<f64>() / 1e5, samples[50_000], samples[99_000])
}

fn near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= wanted * 0.03
}

#[test]
fn each_form_parses_to_what_it_says() {
    let cases = [
        ("constant:200ms", Profile::Constant(ms(200))),
        ("200ms", Profile::Constant(ms(200))),
        ("constant:0s", Profile::Constant(ms(0))),
        ("cycle:10ms, 1.5s,250us", Profile::Cycle(vec![ms(10), ms(1_500), Duration::from_micros(250)])),
        ("Uniform:max=2ms,min=1ms", Profile::Uniform { min: ms(1), max: ms(2) }),
        ("exponential:mean=10ms", Profile::Exponential { mean: ms(10) }),
        ("lognormal:median=20ms,sigma=0.5", Profile::LogNormal { median: ms(20), sigma: 0.5 }),
        ("pareto:scale=5ms,shape=1.5", Profile::Pareto { scale: ms(5), shape: 1.5, max: None }),
        (
            "pareto:scale=5ms,shape=2,max=1s",
            Profile::Pareto { scale: ms(5), shape: 2.0, max: Some(ms(1_000)) },
        ),
        (
            "bimodal:fast=10ms,slow=400ms,slow-share=0.1",
            Profile::Bimodal { fast: ms(10), slow: ms(400), slow_share: 0.1 },
        ),
        ("constant:7\u{b5}s", Profile::Constant(Duration::from_micros(7))),
        ("constant:0.1s", Profile::Constant(ms(100))),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Profile>(), Ok(expected), "{text}");
    }
}

#[test]
fn errors_name_the_value_and_what_would_do() {
    let cases = [
        ("", "unknown latency profile \"\"; known are constant, cycle,"),
        ("gauss:mean=1ms", "unknown latency profile \"gauss\""),
        ("200", "\"200\" lacks its unit; write 200ms"),
        ("constant:", "\"\" is not a duration such as 20ms"),
        ("constant:-5ms", "\"-5ms\" is not a duration"),
        ("constant:1.2.3ms", "\"1.2.3ms\" is not a duration"),
        ("constant:5min", "\"5min\" is not a duration"),
        ("constant:2000000s", "\"2000000s\" is longer than an hour"),
        ("cycle:10ms,,5ms", "\"\" is not a duration"),
        ("lognormal:median=20ms", "sigma is missing; for example lognormal:median=20ms,sigma=0.5"),
        ("lognormal:median=20,sigma=1", "median: \"20\" lacks its unit"),
        ("lognormal:median=20ms,sigma=-1", "sigma: \"-1\" is not a number 0 or more"),
        ("pareto:scale=1ms,shape=0", "shape: \"0\" is not a number above 0"),
        ("pareto:scale=1ms,shape=NaN", "shape: \"NaN\" is not a number above 0"),
        ("pareto:scale=1ms,shape=1,scale=2ms", "scale is given twice"),
        ("exponential:mean=1ms,sigma=2", "sigma is not one of its parameters"),
        ("exponential:1ms", "\"1ms\" is not of the form name=value"),
        ("uniform:min=2ms,max=1ms", "min=2ms is above max=1ms"),
        ("bimodal:fast=1ms,slow=2ms,slow-share=10", "slow-share: \"10\" is not a number from 0 to 1"),
    ];
    for (text, expected) in cases {
        let error = text.parse::<Profile>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
}

#[test]
fn the_originals_cycles_by_id() {
    let millis = |id: &str, count: usize| -> Vec<u128> {
        let mut sampler = Sampler::new(Profile::for_id(id), 0);
        (0..count).map(|_| sampler.draw().as_millis()).collect()
    };
    let a = [10, 15, 20, 400, 400, 400, 10, 15, 20, 10, 15];
    assert_eq!(millis("A", 11), a);
    assert_eq!(millis("nobody", 11), a);
    assert_eq!((millis("B", 2), millis("C", 2)), (vec![200; 2], vec![250; 2]));
}

#[test]
fn samples_have_the_moments_asked_for() {
    let (mean, median, _) = figures("uniform:min=10ms,max=30ms");
    assert!(near(mean, 20.0) && near(median, 20.0), "uniform {mean} {median}");
    let (mean, median, p99) = figures("exponential:mean=10ms");
    assert!(
        near(mean, 10.0) && near(median, 10.0 * 2f64.ln()) && near(p99, 10.0 * 100f64.ln()),
        "exponential"
    );
    let (mean, median, p99) = figures("lognormal:median=20ms,sigma=0.5");
    let (wanted_mean, wanted_p99) = (20.0 * 0.125f64.exp(), 20.0 * (0.5 * 2.326_348f64).exp());
    assert!(near(mean, wanted_mean) && near(median, 20.0) && near(p99, wanted_p99), "lognormal {mean} {p99}");
    let (mean, median, p99) = figures("pareto:scale=5ms,shape=3");
    assert!(near(mean, 7.5) && near(median, 5.0 * 2f64.cbrt()), "pareto {mean} {median}");
    assert!(near(p99, 5.0 * 100f64.cbrt()), "pareto {p99}");
    let (mean, median, p99) = figures("bimodal:fast=10ms,slow=400ms,slow-share=0.1");
    assert!(near(mean, 49.0) && median == 10.0 && p99 == 400.0, "bimodal {mean} {median} {p99}");
}

#[test]
fn tails_are_bounded_and_seeds_decide() {
    assert!(drawn("pareto:scale=5ms,shape=0.01", 1, 1_000).contains(&LATENCY_MAX));
    assert!(drawn("pareto:scale=5ms,shape=0.1,max=2s", 1, 1_000).iter().all(|sample| *sample <= ms(2_000)));
    assert!(drawn("lognormal:median=1s,sigma=1e9", 1, 1_000).iter().all(|sample| *sample <= LATENCY_MAX));
    let profile = "exponential:mean=10ms";
    assert_eq!(drawn(profile, 3, 50), drawn(profile, 3, 50));
    assert_ne!(drawn(profile, 3, 50), drawn(profile, 4, 50));
}

fn any_duration() -> impl Strategy<Value = Duration> {
    let limit = LATENCY_MAX.as_nanos() as u64;
    prop_oneof![(0..=limit).prop_map(Duration::from_nanos), (0..=3_600_000u64).prop_map(ms)]
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let pair = || (any_duration(), any_duration());
    prop_oneof![
        any_duration().prop_map(Profile::Constant),
        prop::collection::vec(any_duration(), 1..9).prop_map(Profile::Cycle),
        pair().prop_map(|(a, b)| Profile::Uniform { min: a.min(b), max: a.max(b) }),
        any_duration().prop_map(|mean| Profile::Exponential { mean }),
        (any_duration(), 0.0..9.0f64).prop_map(|(median, sigma)| Profile::LogNormal { median, sigma }),
        (any_duration(), 0.01..9.0f64, prop::option::of(any_duration()))
            .prop_map(|(scale, shape, max)| Profile::Pareto { scale, shape, max }),
        (pair(), 0.0..=1.0f64).prop_map(|((fast, slow), slow_share)| Profile::Bimodal {
            fast,
            slow,
            slow_share
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_parses_back(profile in any_profile()) {
        prop_assert_eq!(profile.to_string().parse::<Profile>(), Ok(profile));
    }

    #[test]
    fn no_text_panics(text in ".{0,40}", kind in 0usize..7) {
        let _ = text.parse::<Profile>();
        let _ = format!("{}:{text}", super::FORMS[kind].0).parse::<Profile>();
    }
}
