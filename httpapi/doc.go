// Package httpapi is what a master and its clients say to each other over HTTP: paths, headers, query strings, answer
// documents with their status words, and the one table that turns outcomes into status words and HTTP statuses and
// back.
//
// It owns the wire. It never opens a connection and never touches the store; server and client do.
package httpapi
