package cli

import (
	"errors"

	"picloud/app/cloud"
)

// Exit codes of the program; docs/cli.md tells them.
const (
	ExitOK        = 0
	ExitFailed    = 1 // the work could not be done
	ExitUsage     = 2 // the command line, a setting, or what was given is wrong
	ExitDenied    = 3 // not logged in, or not allowed
	ExitNotFound  = 4 // what it is about does not exist
	ExitConflict  = 5 // it stands in the way of what is there
	ExitUnreached = 6 // nobody answered, or is too busy: try again
)

// exitCodes are those of the kinds of error; any other is ExitFailed.
var exitCodes = map[cloud.Kind]int{
	cloud.BadRequest: ExitUsage, cloud.Invalid: ExitUsage, cloud.TooLarge: ExitUsage,
	cloud.Unauthenticated: ExitDenied, cloud.Forbidden: ExitDenied,
	cloud.NotFound: ExitNotFound, cloud.Conflict: ExitConflict,
	cloud.Overloaded: ExitUnreached, cloud.RateLimited: ExitUnreached, cloud.Timeout: ExitUnreached,
}

func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return ExitUsage
	}
	if errors.As(err, new(unreached)) {
		return ExitUnreached
	}
	if code, ok := exitCodes[cloud.KindOf(err)]; ok {
		return code
	}
	return ExitFailed
}
