package main

import (
	"fmt"
	"html/template"
	"net/http"
	"os"
)

// As the original: the page answers 200 whatever its upstreams do, and says in its text which one it could not have.
var page = template.Must(template.New("productpage").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Simple Bookstore App</title></head>
<body>
<h1>The Comedy of Errors</h1>
<p>A stand-in for Bookinfo's productpage, built for the lab.</p>
{{range .}}<h4>Book {{.Service}}</h4>
{{if .Err}}<p>Error fetching product {{.Service}}!</p>
<p>Sorry, product {{.Service}} are currently unavailable for this book.</p>
{{else}}<pre>{{printf "%s" .Body}}</pre>
<p>saw client certificate: <code>{{.Seen}}</code></p>
{{end}}{{end}}</body>
</html>
`))

var products = []map[string]any{{
	"id":              0,
	"title":           "The Comedy of Errors",
	"descriptionHtml": "Two pairs of twins, separated at birth, meet by accident.",
}}

func productPage(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", showPage)
	mux.HandleFunc("GET /productpage", showPage)
	mux.HandleFunc("GET /api/v1/products", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, products) })
	mux.HandleFunc("GET /api/v1/products/{id}", passOn("details"))
	mux.HandleFunc("GET /api/v1/products/{id}/reviews", passOn("reviews"))
	mux.HandleFunc("GET /api/v1/products/{id}/ratings", passOn("ratings"))
}

func showPage(w http.ResponseWriter, r *http.Request) {
	answers := []answer{ask(r, "details", "/details/0"), ask(r, "reviews", "/reviews/0")}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func passOn(service string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		got := ask(r, service, "/"+service+"/"+r.PathValue("id"))
		if got.Err != nil {
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "Sorry, product " + service + " are currently unavailable for this book."})
			return
		}
		writeJSON(w, http.StatusOK, got.Body)
	}
}
