import { execFile, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'

/** Programs in network namespaces; `undefined` is the namespace of this process. */
export interface RunOptions {
  /** Written to standard input, which then ends. */
  readonly input?: string
  /** Real time until the program is killed. Default 60 s. */
  readonly timeoutMilliseconds?: number
  readonly signal?: AbortSignal
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Lines for `ip -batch`: everything about one namespace in one short process. */
export async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  await exec('ip', ['-n', namespace, '-batch', '-'], undefined, { input: lines.join('\n') + '\n' })
}

/** Runs a program to its end and gives its standard output; rejects when it fails, with all that it was given and said. */
export async function exec(
  program: string,
  parameters: readonly string[],
  namespace: string | undefined,
  options?: RunOptions,
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(program, parameters, namespace, options)
  if (exitCode === 0) return stdout
  const command = [program, ...parameters].join(' ')
  throw new Error(
    `${command} in ${namespace ?? 'the machine'} ended with ${String(exitCode)}: ${stderr}${stdout}${options?.input ?? ''}`,
  )
}

/** Runs a program to its end. Rejects when it cannot be started, or a signal ended it. */
export function run(
  program: string,
  parameters: readonly string[],
  namespace: string | undefined,
  { input = '', timeoutMilliseconds = 60_000, signal, env = {} }: RunOptions = {},
): Promise<Ended> {
  const [file = '', ...args] = [...enter(namespace), program, ...parameters]
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        ...{ encoding: 'utf8', timeout: timeoutMilliseconds, killSignal: 'SIGKILL', maxBuffer: 2 ** 26 },
        ...{ env: { ...process.env, ...env }, ...(signal === undefined ? {} : { signal }) },
      },
      (error, stdout, stderr) => {
        const isAnswer = error === null || typeof error.code === 'number'
        if (isAnswer) resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr })
        else reject(new Error(`${program} was killed or did not start`, { cause: error }))
      },
    )
    // A program may end without having read it.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}

/** `ip netns exec` becomes the program: the child's process id is the program's. */
export function startIn(
  namespace: string,
  program: string,
  parameters: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const [file = '', ...args] = [...enter(namespace), program, ...parameters]
  return spawn(file, args, { stdio: 'ignore', ...options })
}

const enter = (namespace: string | undefined) =>
  namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace]
