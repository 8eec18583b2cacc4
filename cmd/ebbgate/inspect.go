package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/command"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source/file"
	"github.com/ebbgate/ebbgate/internal/standalone"
	"github.com/ebbgate/ebbgate/internal/translate"
)

// inputFlags are the files that a command reads.
type inputFlags struct {
	paths   []string
	secrets string
}

func (f *inputFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVarP(&f.paths, "file", "f", nil, "file or folder of YAML; may be given more than once, or as arguments")
	c.Flags().StringVar(&f.secrets, "secrets", "", "folder of Secrets laid out as namespace/name/key, as mounts lay them")
}

// take reads arguments as more files: what a shell makes of -f *.yaml.
func (f *inputFlags) take(_ *cobra.Command, args []string) error {
	f.paths = append(f.paths, args...)
	return nil
}

func (f *inputFlags) source(logger *slog.Logger) (*file.Source, error) {
	if len(f.paths) == 0 {
		return nil, command.Usage("which files? Give a folder with -f")
	}
	return file.New(file.Config{Paths: f.paths, SecretsDir: f.secrets, Schema: schema.New(), Logger: logger})
}

func validateCommand() *cobra.Command {
	var in inputFlags
	c := &cobra.Command{
		Use:   "validate -f DIR [-f FILE ...]",
		Short: "Check a folder and print every problem with its file, line, object, field and mend",
		Long: `Check a folder as run would, without serving it. Problems are printed one a line, all there are:

  file:line: object: field: what is wrong (what to write instead)

References between objects are judged once every file can be read and keeps to its schema. The exit code is 1 where any of them is more than a warning.`,
		Args: in.take,
		RunE: func(c *cobra.Command, _ []string) error {
			_, problems, err := inspect(c, &in)
			if err != nil {
				return err
			}
			printProblems(c.OutOrStdout(), problems)
			if wrong(problems) {
				return command.ErrSaid
			}
			if len(problems) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "no problems")
			}
			return nil
		},
	}
	in.add(c)
	return c
}

func translateCommand() *cobra.Command {
	var in inputFlags
	c := &cobra.Command{
		Use:   "translate -f DIR [-f FILE ...]",
		Short: "Print the plan and the statuses that a folder comes to, secrets redacted",
		Args:  in.take,
		RunE: func(c *cobra.Command, _ []string) error {
			result, problems, err := inspect(c, &in)
			if err != nil {
				return err
			}
			printProblems(c.ErrOrStderr(), problems)
			if result == nil {
				return command.ErrSaid
			}
			out, err := yaml.Marshal(struct {
				Plan     *plan.Plan          `json:"plan"`
				Statuses []*translate.Status `json:"statuses"`
			}{result.Plan, result.Statuses})
			if err != nil {
				return fmt.Errorf("print plan: %w", err)
			}
			_, err = c.OutOrStdout().Write(out)
			return err
		},
	}
	in.add(c)
	return c
}

// inspect reads and translates once; the result is nil where the files could not be read.
func inspect(c *cobra.Command, in *inputFlags) (*translate.Result, []problem.Problem, error) {
	logger := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	src, err := in.source(logger)
	if err != nil {
		return nil, nil, err
	}
	snapshot, problems := src.Load(c.Context())
	if snapshot == nil {
		return nil, problems, nil
	}
	result := translate.New(translate.Config{Kinds: order.Kinds()}).Apply(snapshot)
	own, _ := standalone.Judge(result)
	return result, append(problems, own...), nil
}

func printProblems(w io.Writer, problems []problem.Problem) {
	for _, p := range problems {
		word := "error"
		if p.Warning {
			word = "warning"
		}
		fmt.Fprintf(w, "%s: %s\n", word, p)
	}
}

func wrong(problems []problem.Problem) bool {
	for _, p := range problems {
		if !p.Warning {
			return true
		}
	}
	return false
}
