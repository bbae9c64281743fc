// Command bookinfo stands in for Istio's Bookinfo images, which the lab cannot have. Called as productpage, details,
// reviews or ratings, it answers the originals' paths on port 9080 and calls the same upstreams as they do.
//
// Every answer carries, in x-seen-client-cert, the X-Forwarded-Client-Cert its request came with.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	address    = ":9080"
	seenHeader = "X-Seen-Client-Cert"
)

func main() {
	if err := serve(filepath.Base(os.Args[0])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(service string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": strings.ToUpper(service[:1]) + service[1:] + " is healthy"})
	})
	switch service {
	case "productpage":
		productPage(mux)
	case "details":
		mux.HandleFunc("GET /details/{id}", details)
	case "reviews":
		mux.HandleFunc("GET /reviews/{id}", reviews)
	case "ratings":
		mux.HandleFunc("GET /ratings/{id}", ratings)
	default:
		return fmt.Errorf("called as %q; want productpage, details, reviews or ratings", service)
	}
	server := &http.Server{Addr: address, Handler: logged(seen(mux)), ReadHeaderTimeout: 10 * time.Second}
	return untilTold(server)
}

// seen answers with the client certificate the request came with.
func seen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(seenHeader, r.Header.Get("X-Forwarded-Client-Cert"))
		next.ServeHTTP(w, r)
	})
}

func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		next.ServeHTTP(w, r)
		if r.URL.Path != "/health" {
			fmt.Printf("%s %s %s %s\n", start.UTC().Format(time.RFC3339), r.Method, r.URL.Path, time.Since(start).Round(time.Microsecond))
		}
	})
}

// untilTold serves until SIGTERM or SIGINT and then lets open requests end.
func untilTold(server *http.Server) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	closed := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		closed <- server.Shutdown(grace)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}
