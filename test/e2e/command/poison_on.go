//go:build poison

package command

const poisoned = true
