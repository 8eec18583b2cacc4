package command

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// LimitMemory has Go's runtime keep to nine tenths of the memory that the container, or else the machine, has, unless
// GOMEMLIMIT says something else. A process that comes near it takes on less, instead of being killed.
func LimitMemory(logger *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(0.9), memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)))
	if err != nil {
		logger.Warn("memory is not limited: set GOMEMLIMIT", "error", err)
		return
	}
	logger.Debug("memory is limited", "bytes", limit)
}
