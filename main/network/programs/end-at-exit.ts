/** How to end each process that runs now, for the case that Landfall ends first. */
const running = new Set<() => void>()

function endAll(): void {
  for (const end of running) end()
}

/**
 * Has `end` called when this process exits before `release` was called. `end` must do its work synchronously and must not
 * throw. One listener serves all programs: Node warns of a leak at eleven.
 *
 * Nothing helps when this process is killed by SIGKILL: what it started must end by itself.
 */
export function endAtExit(end: () => void): { release: () => void } {
  if (running.size === 0) process.on('exit', endAll)
  running.add(end)
  return {
    release: () => {
      if (running.delete(end) && running.size === 0) process.off('exit', endAll)
    },
  }
}
