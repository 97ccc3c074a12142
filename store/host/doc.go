// Package host holds the documents of a host and the rules for choosing hosts: what an agent reports about its machine
// and itself, the status that the master makes of it, label selectors, and the natural order of host names.
//
// It owns the JSON forms of these documents (model §6, §8.2), the text form of a selector and the matching of labels.
// It never talks to a store, a daemon or the network.
package host
