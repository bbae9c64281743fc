package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// The headers the originals hand on from request to request.
var forwarded = []string{
	"X-Request-Id", "X-Ot-Span-Context", "X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority",
	"Traceparent", "Tracestate", "X-Cloud-Trace-Context", "Grpc-Trace-Bin", "X-B3-Traceid", "X-B3-Spanid",
	"X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", "Sw8", "User-Agent", "End-User", "Cookie", "Authorization",
}

var upstreams = &http.Client{Timeout: 3 * time.Second}

// answer is what an upstream said; seen is the client certificate it saw.
type answer struct {
	Service string
	Body    json.RawMessage
	Seen    string
	Err     error
}

// ask calls a service by name, or by the name in its environment variable (DETAILS_HOSTNAME, ...), as the originals do.
func ask(r *http.Request, service, path string) answer {
	result := answer{Service: service}
	result.Body, result.Seen, result.Err = get(r, "http://"+host(service)+path)
	return result
}

func host(service string) string {
	name := os.Getenv(strings.ToUpper(service) + "_HOSTNAME")
	if name == "" {
		name = service
	}
	if domain := os.Getenv("SERVICES_DOMAIN"); domain != "" {
		name += "." + domain
	}
	return net.JoinHostPort(name, "9080")
}

func get(r *http.Request, url string) (json.RawMessage, string, error) {
	ctx, cancel := context.WithTimeout(r.Context(), upstreams.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	for _, name := range forwarded {
		if value := r.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := upstreams.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, response.Header.Get(seenHeader), err
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
