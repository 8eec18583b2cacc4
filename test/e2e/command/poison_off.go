//go:build !poison

package command

const poisoned = false
