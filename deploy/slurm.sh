#!/usr/bin/env bash
# A rebuild on machines of a SLURM cluster: sbatch deploy/slurm.sh, from the project's folder, whose environment is made
# (`make repro` or `uv sync`, once, on the machine that you log in to).
#SBATCH --job-name=genera
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --output=genera-%j.log
#SBATCH --requeue
# For GPUs: #SBATCH --gpus-per-node=4

set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?this is a script for sbatch}"
export PATH=$PWD/.venv/bin:$PATH
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000)) # another job of yours may have its head on the same machine
export RAY_ADDRESS=$first:$port

# Ray starts on all machines; the command runs on the first of them, and Ray ends with it. A job that is sent back to the
# queue goes on from its last checkpoints, if cluster.storage is a folder that all machines see, or object storage.
srun ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" -- sh -c "genera plan && genera run && dvc repro"
