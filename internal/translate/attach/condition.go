package attach

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ebbgate/ebbgate/internal/problem"
)

// The conditions that several kinds have.
const (
	Accepted     = "Accepted"
	ResolvedRefs = "ResolvedRefs"
	Programmed   = "Programmed"
	Effective    = "Effective"
)

// NoEffect is the reason of Effective=False.
const NoEffect = "NoEffect"

// maxConditions is what the schemas of Gateway API allow in one list.
const maxConditions = 8

// messageProblems is how many problems a condition's message spells out.
const messageProblems = 4

// Problems collects what is wrong with one object.
type Problems struct {
	Object string // plan name
	List   []problem.Problem
}

// Add notes something that is not served as written. Condition names the condition that says so, and may be empty.
func (p *Problems) Add(condition, reason, field, message, mend string) {
	p.List = append(p.List, problem.Problem{
		Object: p.Object, Field: field, Condition: condition, Reason: reason, Message: message, Mend: mend,
	})
}

// Warn notes something that is served as written all the same.
func (p *Problems) Warn(condition, reason, field, message, mend string) {
	p.Add(condition, reason, field, message, mend)
	p.List[len(p.List)-1].Warning = true
}

// Conditions makes a list of conditions from problems.
type Conditions struct {
	Generation int64
	List       []metav1.Condition
}

// Judge adds a condition that is True with the reason given, or False where problems name it.
func (c *Conditions) Judge(condition, reason string, problems ...[]problem.Problem) {
	about := About(condition, problems...)
	if len(about) == 0 {
		c.Add(condition, metav1.ConditionTrue, reason, "")
		return
	}
	c.Add(condition, metav1.ConditionFalse, about[0].Reason, Message(about))
}

// Add adds a condition, unless the list is as long as schemas allow.
func (c *Conditions) Add(condition string, status metav1.ConditionStatus, reason, message string) {
	if len(c.List) < maxConditions {
		c.List = append(c.List, metav1.Condition{
			Type: condition, Status: status, ObservedGeneration: c.Generation, Reason: reason, Message: message,
		})
	}
}

// Affected adds a condition for each kind of policy that has the object as its target (GEP-713).
func (c *Conditions) Affected(policies []string) {
	byKind := map[string][]string{}
	var kinds []string
	for _, name := range policies {
		kind, rest, _ := strings.Cut(name, "/")
		if byKind[kind] == nil {
			kinds = append(kinds, kind)
		}
		byKind[kind] = append(byKind[kind], rest)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		c.Add(Group+"/"+kind+"Affected", metav1.ConditionTrue, "PolicyAffected", "by "+shorten(byKind[kind], ", "))
	}
}

// About are the problems that a condition says.
func About(condition string, problems ...[]problem.Problem) []problem.Problem {
	var about []problem.Problem
	for _, list := range problems {
		for _, p := range list {
			if p.Condition == condition {
				about = append(about, p)
			}
		}
	}
	return about
}

// Message is what a condition says of problems: each with its field and its mend.
func Message(problems []problem.Problem) string {
	var lines []string
	for _, p := range problems {
		line := p.Message
		if p.Field != "" {
			line = p.Field + ": " + line
		}
		if p.Mend != "" {
			line += " (" + p.Mend + ")"
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return shorten(lines, "; ")
}

func shorten(items []string, separator string) string {
	if more := len(items) - messageProblems; more > 0 {
		items = append(slices.Clone(items[:messageProblems]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(items, separator)
}

// Served reports whether none of the problems keeps an object from being served as written.
func Served(problems []problem.Problem) bool {
	return !slices.ContainsFunc(problems, func(p problem.Problem) bool { return !p.Warning })
}
