package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// spent is what /proc/PID/stat says about a process: CPU time of all its threads in user and kernel mode, and memory.
type spent struct {
	parent   int
	own      time.Duration
	reaped   time.Duration // of children that have ended and that it waited for
	resident int           // bytes
}

// parseStat reads a line of /proc/PID/stat (proc_pid_stat(5)).
func parseStat(line string) (spent, error) {
	// The second field is a name in parentheses, which may hold spaces and parentheses.
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return spent{}, errors.New("no program name in stat line")
	}
	fields := strings.Fields(line[end+1:]) // the first of them is the third of the line
	if len(fields) < 22 {
		return spent{}, fmt.Errorf("stat line has %d fields after the name, want 22 or more", len(fields))
	}
	var number [6]int64
	for i, field := range []int{4 - 3, 14 - 3, 15 - 3, 16 - 3, 17 - 3, 24 - 3} {
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return spent{}, fmt.Errorf("parse stat line: %w", err)
		}
		number[i] = n
	}
	return spent{
		parent:   int(number[0]),
		own:      time.Duration(number[1]+number[2]) * tick,
		reaped:   time.Duration(number[3]+number[4]) * tick,
		resident: int(number[5]) * os.Getpagesize(),
	}, nil
}

// processes are all processes of the machine, or of our container, by id.
type processes map[int]spent

// readProcesses reads the processes that root, /proc, tells of.
func readProcesses(root string) (processes, error) {
	files, err := filepath.Glob(filepath.Join(root, "[0-9]*", "stat"))
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := processes{}
	for _, name := range files {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended since, and its parent has its time
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, fmt.Errorf("parse process id: %w", err)
		}
		if all[id], err = parseStat(string(line)); err != nil {
			return nil, fmt.Errorf("process %d: %w", id, err)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s tells of no process", root)
	}
	return all, nil
}

// tree is the CPU time of a process and of all below it: nginx is a master and its worker.
func (p processes) tree(id int) time.Duration {
	sum := p[id].own + p[id].reaped
	for child, s := range p {
		if s.parent == id && child != id {
			sum += p.tree(child)
		}
	}
	return sum
}

// resident is the memory of a process and of all below it. What they share is counted more than once.
func (p processes) resident(id int) int {
	sum := p[id].resident
	for child, s := range p {
		if s.parent == id && child != id {
			sum += p.resident(child)
		}
	}
	return sum
}

// total is the CPU time of all processes. One that ends meanwhile is not lost: it goes to who waits for it.
func (p processes) total() time.Duration {
	var sum time.Duration
	for _, s := range p {
		sum += s.own + s.reaped
	}
	return sum
}

// stolen is how long the host ran something else while these cores wanted to run, from the text of /proc/stat.
func stolen(text string, cores ...int) (time.Duration, error) {
	var sum time.Duration
	found := 0
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		for _, core := range cores {
			if len(fields) < 9 || fields[0] != "cpu"+strconv.Itoa(core) {
				continue
			}
			n, err := strconv.ParseInt(fields[8], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("parse stolen time: %w", err)
			}
			sum += time.Duration(n) * tick
			found++
		}
	}
	if found != len(cores) {
		return 0, fmt.Errorf("/proc/stat tells of %d of the cores %v", found, cores)
	}
	return sum, nil
}

// parseCores reads the list of cores that a process may use, such as 0-2,5, from the text of /proc/self/status.
func parseCores(status string) ([]int, error) {
	_, rest, ok := strings.Cut(status, "Cpus_allowed_list:")
	if !ok {
		return nil, errors.New("no Cpus_allowed_list in status")
	}
	list, _, _ := strings.Cut(rest, "\n")
	var cores []int
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		low, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("parse list of cores: %w", err)
		}
		high, err := strconv.Atoi(last)
		if err != nil {
			return nil, fmt.Errorf("parse list of cores: %w", err)
		}
		for core := low; core <= high; core++ {
			cores = append(cores, core)
		}
	}
	return cores, nil
}
