package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
)

type book struct {
	ID        int    `json:"id"`
	Author    string `json:"author"`
	Year      int    `json:"year"`
	Type      string `json:"type"`
	Pages     int    `json:"pages"`
	Publisher string `json:"publisher"`
	Language  string `json:"language"`
	ISBN10    string `json:"ISBN-10"`
	ISBN13    string `json:"ISBN-13"`
}

type bookRatings struct {
	ID      int            `json:"id"`
	Ratings map[string]int `json:"ratings"`
}

type bookReviews struct {
	ID      string   `json:"id"`
	Pod     string   `json:"podname"`
	Cluster string   `json:"clustername"`
	Reviews []review `json:"reviews"`
}

type review struct {
	Reviewer string  `json:"reviewer"`
	Text     string  `json:"text"`
	Rating   *rating `json:"rating,omitempty"`
}

type rating struct {
	Stars int    `json:"stars,omitempty"`
	Color string `json:"color,omitempty"`
	Error string `json:"error,omitempty"`
}

func details(w http.ResponseWriter, r *http.Request) {
	id, ok := number(w, r)
	if !ok {
		return
	}
	writeJSON(w, http.StatusOK, book{
		ID: id, Author: "William Shakespeare", Year: 1595, Type: "paperback", Pages: 200, Publisher: "PublisherA",
		Language: "English", ISBN10: "1234567890", ISBN13: "123-1234567890",
	})
}

func ratings(w http.ResponseWriter, r *http.Request) {
	if id, ok := number(w, r); ok {
		writeJSON(w, http.StatusOK, bookRatings{ID: id, Ratings: map[string]int{"Reviewer1": 5, "Reviewer2": 4}})
	}
}

// reviews asks ratings where ENABLE_RATINGS is true, which is what makes the images v2 and v3.
func reviews(w http.ResponseWriter, r *http.Request) {
	pod, _ := os.Hostname()
	result := bookReviews{ID: r.PathValue("id"), Pod: pod, Cluster: os.Getenv("CLUSTER_NAME"), Reviews: []review{
		{Reviewer: "Reviewer1", Text: "Mistaken identities, and all of them end well."},
		{Reviewer: "Reviewer2", Text: "A little thin beside the other comedies."},
	}}
	if os.Getenv("ENABLE_RATINGS") == "true" {
		rate(r, result.Reviews)
	}
	writeJSON(w, http.StatusOK, result)
}

func rate(r *http.Request, reviews []review) {
	var given bookRatings
	got := ask(r, "ratings", "/ratings/"+r.PathValue("id"))
	if got.Err == nil {
		got.Err = json.Unmarshal(got.Body, &given)
	}
	for i := range reviews {
		if got.Err != nil {
			reviews[i].Rating = &rating{Error: "Ratings service is currently unavailable"}
			continue
		}
		reviews[i].Rating = &rating{Stars: given.Ratings[reviews[i].Reviewer], Color: os.Getenv("STAR_COLOR")}
	}
}

func number(w http.ResponseWriter, r *http.Request) (int, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "please provide numeric product ID"})
	}
	return id, err == nil
}
