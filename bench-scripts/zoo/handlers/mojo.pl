# perl mojo.pl daemon -l http://127.0.0.1:PORT -k LIMIT: the handler of the zoo for Mojolicious.
use Mojolicious::Lite;
app->log->level('fatal');
any '/*rest' => { rest => '' } => sub { my $c = shift; $c->render(text => 'path=' . $c->req->url->path . "\n") };
app->start;
