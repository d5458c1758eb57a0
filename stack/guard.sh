#!/bin/sh
# Runs a program that must not outlive the stack: sh guard.sh PROGRAM ARGS...
#
# File descriptor 3 is one end of a pipe whose other end only the stack holds. Nothing is ever written to it, so the
# read below ends when the stack is gone, however it went, and then the whole process group goes too. The watcher is
# started before the program replaces this shell: there is no moment in which the program runs unwatched. As long as
# the watcher lives, the group exists and its number, which is the program's pid, cannot be given to anybody else.

program=$$
(
  # Ctrl-C and an orderly stop are for the program; the watcher has to see them through.
  trap '' HUP INT TERM
  read -r _ <&3
  kill -TERM "$program"
  # 5 s to finish by itself: Kafka and Temporal need one or two.
  tries=0
  while [ "$tries" -lt 50 ] && kill -0 "$program"; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -KILL 0
) </dev/null >/dev/null 2>&1 &

exec "$@" 3<&-
