// What goes wrong on purpose, and what a program may do about it.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.uber.org/zap/zapcore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	callMax  = time.Minute
	awaitMax = time.Minute
	pause    = 20 * time.Millisecond
	// quiet leaves out what controller-runtime says of errors, for some are made on purpose.
	quiet = zapcore.FatalLevel
)

var answers = bufio.NewReader(os.Stdin)

// faulty is whether somebody breaks on demand, and nobody else does.
func faulty() bool { return os.Getenv("CLIENTS_FAULTS") == "asked" }

// fault has whoever started the script break something, and returns when it is broken.
func fault(name string) error {
	if !faulty() {
		return nil
	}
	fmt.Println("fault:", name)
	answer, err := answers.ReadString('\n')
	if err == nil && answer != "done\n" {
		err = fmt.Errorf("the answer to a fault was %q", answer)
	}
	return err
}

// passing tells errors of a server that is about to end, or has just begun, or is not reached, from its refusals.
func passing(err error) bool {
	var unreached *url.Error
	return errors.As(err, &unreached) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err)
}

// again calls until there is an answer. An earlier call may have had its effect though it failed, which `settled` finds out
// from the refusal of a later one.
func again(settled func(error) bool, call func() error) error {
	until := time.Now().Add(callMax)
	for failed := false; ; failed = true {
		err := call()
		switch {
		case err == nil || failed && settled(err):
			return nil
		case !passing(err) || time.Now().After(until):
			return err
		}
		time.Sleep(pause)
	}
}

func creating(call func() error) error { return again(apierrors.IsAlreadyExists, call) }
func deleting(call func() error) error { return again(apierrors.IsNotFound, call) }
func changing(call func() error) error {
	return again(func(error) bool { return false }, call)
}

// awaited waits until the condition holds.
func awaited(what string, condition func() (bool, error)) error {
	until := time.Now().Add(awaitMax)
	for {
		holds, err := condition()
		if err != nil && !passing(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if holds && err == nil {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s did not come", what)
		}
		time.Sleep(pause)
	}
}

// want is an error when something that has to hold does not.
func want(holds bool, format string, values ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf("not as it has to be: "+format, values...)
}
