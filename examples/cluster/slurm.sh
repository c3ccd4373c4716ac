#!/bin/bash
# One search over the tasks of a Slurm job array, by a Ray cluster of their machines: sbatch examples/cluster/slurm.sh
# Task 0 has Ray's head and the driver, every other task gives its cores to it. Any of them may be killed or requeued:
# a worker joins again, and the driver goes on where the search was (--resume). The folder must be shared by all
# nodes, with file locks, and so must the home, for Ray's token in ~/.ray/auth_token.
#
# A test runs this script twice on one machine, as two tasks; Slurm itself was not at hand.
#SBATCH --job-name=spikefront
#SBATCH --array=0-4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=spikefront-%A-%a.log
set -uo pipefail

# What is searched, and where. Every value may be set before sbatch, which passes the environment on.
: "${SPIKEFRONT_FOLDER:=$PWD/searches}"                # shared by all nodes
: "${SPIKEFRONT_SEARCH:=${SLURM_ARRAY_JOB_ID:?start it with sbatch}}" # name of the search: this job's, if none is given
: "${SPIKEFRONT_OPTIONS:=--task fashion-mnist --trials 500}"
: "${SPIKEFRONT_WORKERS:=$(((${SLURM_ARRAY_TASK_COUNT:-5} - 1) * ${SLURM_CPUS_PER_TASK:-1}))}"
: "${RAY_PORT:=6379}"
export RAY_AUTH_MODE=token

address=$SPIKEFRONT_FOLDER/slurm-$SLURM_ARRAY_JOB_ID.address # written by the head, read by the others
ended=$SPIKEFRONT_FOLDER/slurm-$SLURM_ARRAY_JOB_ID.ended
mkdir -p "$SPIKEFRONT_FOLDER"

# `ray stop` would end every Ray of this user on the machine, so each task ends the one that it started.
trap 'exit 143' TERM # after the driver has ended, which Slurm sends the signal, too

if [[ $SLURM_ARRAY_TASK_ID == 0 ]]; then
    leave() { # ended by a signal, the search is to be resumed: the workers wait for that
        local code=$?
        rm -f "$address"
        ((code >= 128)) || touch "$ended"
        kill "$ray" 2>/dev/null && wait "$ray"
    }
    trap leave EXIT
    rm -f "$ended"
    (umask 077 && ray get-auth-token --generate >/dev/null)
    host=$(hostname -i | cut -d' ' -f1)
    ray start --head --port "$RAY_PORT" --node-ip-address "$host" --num-cpus 0 --include-dashboard false --block &
    ray=$!
    until (exec 3<>"/dev/tcp/$host/$RAY_PORT") 2>/dev/null; do
        kill -0 "$ray" || exit 1
        sleep 1
    done
    echo "$host:$RAY_PORT" >"$address"
    if [[ -e $SPIKEFRONT_FOLDER/$SPIKEFRONT_SEARCH/journal.log ]]; then
        options=(--resume "$SPIKEFRONT_SEARCH")
    else # shellcheck disable=SC2206 # options are words
        options=(--name "$SPIKEFRONT_SEARCH" $SPIKEFRONT_OPTIONS)
    fi
    options+=(--address "$host:$RAY_PORT" --folder "$SPIKEFRONT_FOLDER" --workers "$SPIKEFRONT_WORKERS")
    spikefront run "${options[@]}"
    exit
fi

trap 'kill "$ray" 2>/dev/null && wait "$ray"' EXIT
ray=
until [[ -e $ended ]]; do
    if ! kill -0 "$ray" 2>/dev/null && [[ -e $address ]]; then # not begun, or its head was lost
        ray start --address "$(<"$address")" --num-cpus "${SLURM_CPUS_PER_TASK:-1}" --block &
        ray=$!
    fi
    sleep 5
done
