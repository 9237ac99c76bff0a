# The PSGI handler of the zoo, as wsgi.py.
sub {
    my $env = shift;
    if ($env->{REQUEST_METHOD} eq 'POST') {
        my $left = $env->{CONTENT_LENGTH} || 0;
        while ($left > 0) { my $n = $env->{'psgi.input'}->read(my $part, $left); last unless $n; $left -= $n; }
    }
    my $body = "path=$env->{PATH_INFO}\n";
    [200, ['Content-Type' => 'text/plain', 'Content-Length' => length $body], [$body]];
};
