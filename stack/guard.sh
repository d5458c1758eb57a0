#!/bin/sh
# Runs a program that must not outlive the stack: sh guard.sh SIGNAL PROGRAM ARGS...
# SIGNAL is the one that asks the program to end, such as TERM.
#
# File descriptor 3 is one end of a pipe whose other end only the stack holds. The stack writes nothing to it, so the
# read below ends when the stack ends, even by SIGKILL, and then the watcher ends the whole process group. The watcher
# starts before the program replaces this shell, so the program never runs unwatched. While the watcher runs, the group
# exists, and its number, which is the program's pid, cannot be used again.

program=$$
signal=$1
shift
(
  # Ctrl-C and SIGTERM are for the program; the watcher stays until the program has ended.
  trap '' HUP INT TERM
  read -r _ <&3
  kill -"$signal" "$program"
  # The program gets 5 s to end by itself. Kafka and Temporal need one or two.
  tries=0
  while [ "$tries" -lt 50 ] && kill -0 "$program"; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -KILL 0
) </dev/null >/dev/null 2>&1 &

exec "$@" 3<&-
