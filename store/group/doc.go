// Package group holds the documents of deployment groups: a group with its selectors, job and rollout options, the
// status of its rollout, and the list of rollout tasks that masters work off.
//
// It owns the JSON forms of these documents (model §8). It plans and carries out nothing: the plan is made by
// roles/rollout, the steps are taken by the master.
package group
