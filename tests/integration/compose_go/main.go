// Loads a compose file as Docker's own program does, and prints what it means as JSON.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
)

// compose_go FILE... ENV_FILE: later files are laid over earlier ones; the profiles are those that
// COMPOSE_PROFILES of the env file names.
func run(files []string, envFile string) error {
	environment, err := dotenv.GetEnvFromFile(map[string]string{}, []string{envFile})
	if err != nil {
		return err
	}
	pairs := make([]string, 0, len(environment))
	for name, value := range environment {
		pairs = append(pairs, name+"="+value)
	}
	options, err := cli.NewProjectOptions(
		files,
		cli.WithEnv(pairs),
		cli.WithProfiles(strings.Split(environment["COMPOSE_PROFILES"], ",")),
		cli.WithInterpolation(true),
		cli.WithResolvedPaths(true),
	)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

func main() {
	last := len(os.Args) - 1
	if last < 2 {
		fmt.Fprintln(os.Stderr, "usage: compose_go FILE... ENV_FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1:last], os.Args[last]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
