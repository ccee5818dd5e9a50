import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

/** Where `ip netns` keeps the names of namespaces. */
const nameFolder = '/var/run/netns'

/**
 * Ends every process in the namespaces, removes the namespaces and with them every interface, then the folder.
 * Needs `$folder` and the names as arguments; the exit code is 1 when something stayed. Killing is repeated: a program
 * may have started another one in the meantime, and a namespace lives as long as its last process.
 */
const removal = `
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  alive=$(printf 'netns pids %s\\n' "$@" | ip -force -batch - 2>/dev/null)
  [ -z "$alive" ] && break
  kill -9 $alive 2>/dev/null
  sleep 0.02
done
printf 'netns delete %s\\n' "$@" | ip -force -batch - 2>/dev/null
rm -rf "$folder"
for name; do [ -e "${nameFolder}/$name" ] && exit 1; done
[ -z "$alive" ]
`

/** Makes folder and namespaces, and removes them when its standard input ends. */
const script = `
trap '' PIPE
folder=$1; shift
if mkdir -m 700 "$folder" && printf 'netns add %s\\n' "$@" | ip -batch -; then echo ready; else echo failed; fi
cat >/dev/null
${removal}`

/** Namespaces, and a folder for files of the programs in them, that live no longer than this process. */
export interface Guardian {
  readonly folder: string
  /** Ends the processes in the namespaces and removes namespaces and folder. Twice is no error. */
  remove(): Promise<void>
}

/** Name of a laboratory: whose it is can be read from it, also when that process is gone. */
export function newLabId(): string {
  const start = startTimeOf(process.pid) ?? ''
  return `landfall-segment-${process.pid}-${start}-${randomBytes(4).toString('hex')}`
}

/**
 * Makes namespaces (`names`, each beginning with the laboratory's id) through a shell of its own, that removes them
 * again when it is told to, *or when this process ends in whatever way*: then the kernel closes the pipe between them.
 * Because that shell also makes them, nothing of this process can make one after they were removed.
 *
 * The shell has a process group of its own, so that Ctrl-C does not reach it. Should it be killed as well, the next
 * laboratory on this machine removes what is left (`removeStale`).
 */
export async function guard(id: string, names: readonly string[]): Promise<Guardian> {
  await removeStale()
  const folder = folderOf(id)
  const shell = spawn('sh', ['-c', script, 'sh', folder, ...names], { detached: true })
  const exit = once(shell, 'exit')
  const errors = textOf(shell.stderr)
  let removal: Promise<void> | undefined
  const remove = () =>
    (removal ??= (async () => {
      shell.ref()
      shell.stdin.end()
      const [code] = (await exit) as [number | null]
      if (code !== 0) throw new Error(`namespaces of ${id} could not be removed: ${errors()}`)
    })())

  const [said] = (await Promise.race([once(shell.stdout, 'data'), exit])) as unknown[]
  if (String(said) !== 'ready\n') {
    await remove()
    throw new Error(`namespaces of ${id} could not be made: ${errors()}`)
  }
  // It must not keep this process alive that forgot to remove the laboratory.
  shell.unref()
  for (const pipe of [shell.stdin, shell.stdout, shell.stderr]) unref(pipe)
  return { folder, remove }
}

/** Removes the laboratories of processes that are gone together with their guardian (the whole machine was stopped). */
async function removeStale(): Promise<void> {
  const stale = new Map<string, string[]>()
  for (const name of namespaceNames()) {
    const [, id, pid, start] = /^(landfall-segment-(\d+)-(\d*)-[0-9a-f]+)-/u.exec(name) ?? []
    if (id === undefined || startTimeOf(Number(pid)) === start) continue
    stale.set(id, [...(stale.get(id) ?? []), name])
  }
  for (const [id, names] of stale) {
    // What resists here is in nobody's way, because every laboratory has names of its own. Their guardian may be at it
    // too: then one of them finds nothing to do.
    const shell = spawn('sh', ['-c', `folder=$1; shift\n${removal}`, 'sh', folderOf(id), ...names], {
      stdio: 'ignore',
    })
    await once(shell, 'exit')
  }
}

function namespaceNames(): string[] {
  try {
    return readdirSync(nameFolder)
  } catch {
    // There never was one on this machine.
    return []
  }
}

const folderOf = (id: string) => join(tmpdir(), id)

/** When the process started, in clock ticks since boot (proc_pid_stat(5), field 22): tells processes with one id apart. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in field 2 may contain anything, also spaces and brackets.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function textOf(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return () => text
}

/** Pipes to a child are sockets, which the types of `spawn` do not say. */
export function unref(pipe: Readable | Writable): void {
  if (pipe instanceof Socket) pipe.unref()
}
