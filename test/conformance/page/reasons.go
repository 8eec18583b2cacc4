package main

// lacking says of extended features why Ebbgate does not have them.
var lacking = map[string]string{
	"ListenerSet": "listeners of other owners on a Gateway are not built yet",
}

// failing says of tests why they fail.
var failing = map[string]string{}
