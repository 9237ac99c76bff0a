% swipl server.pl PORT LIMIT: the handler of the zoo for SWI-Prolog's http server.
:- use_module(library(http/thread_httpd)).
:- use_module(library(http/http_client)).

answer(Request) :-
    memberchk(method(Method), Request),
    ( Method == post -> http_read_data(Request, _, [to(string)]) ; true ),
    memberchk(path(Path), Request),
    format("Content-Type: text/plain~n~n"),
    format("path=~w~n", [Path]).

:- initialization(main, main).
main([PortText, LimitText | _]) :-
    atom_number(PortText, Port), atom_number(LimitText, Limit),
    http_server(answer, [port(localhost:Port), keep_alive_timeout(Limit)]),
    thread_get_message(stop).
