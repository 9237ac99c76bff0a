// go run server.go PORT LIMIT: the handler of the zoo for net/http.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	limit, _ := time.ParseDuration(os.Args[2] + "s")
	echo := func(answer http.ResponseWriter, request *http.Request) {
		if request.Method == "POST" {
			io.Copy(io.Discard, request.Body)
		}
		fmt.Fprintf(answer, "path=%s\n", request.URL.Path)
	}
	server := http.Server{Addr: "127.0.0.1:" + os.Args[1], Handler: http.HandlerFunc(echo), IdleTimeout: limit}
	panic(server.ListenAndServe())
}
