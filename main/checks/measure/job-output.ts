/** A line of a job that counts. */
export type Frame =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'word'; readonly word: string; readonly rest: readonly string[] }

export interface JobOutput {
  readonly frames: readonly Frame[]
  /** `skipped`: the time was up before it began. `cut`: its end never came. */
  readonly end: 'complete' | 'skipped' | 'cut'
}

export interface ScriptOutput {
  readonly hasStarted: boolean
  readonly isComplete: boolean
  readonly jobs: ReadonlyMap<number, JobOutput>
}

/**
 * Reads what the script of `script.ts` printed. Never throws: lines without the mark are noise of the login, or torn; the
 * last line without a line feed was cut, and nobody knows what it would have said.
 */
export function readScriptOutput(mark: string, text: string): ScriptOutput {
  const jobs = new Map<number, { frames: Frame[]; end: JobOutput['end'] }>()
  let hasStarted = false
  let isComplete = false
  for (const row of text.split('\n').slice(0, -1)) {
    if (!row.startsWith(`${mark} `)) continue
    const [first = '', word = '', ...rest] = row.slice(mark.length + 1).split(' ')
    if (first === 'start') hasStarted = true
    else if (first === 'complete') isComplete = true
    else if (/^\d{1,6}$/u.test(first) && hasStarted) {
      const id = Number(first)
      const job = jobs.get(id) ?? { frames: [], end: 'cut' as JobOutput['end'] }
      jobs.set(id, job)
      if (word === 'end') {
        if (job.end === 'cut') job.end = 'complete'
      } else if (word === 'skipped') job.end = 'skipped'
      else if (word === '|') job.frames.push({ kind: 'line', text: rest.join(' ') })
      else job.frames.push({ kind: 'word', word, rest })
    }
  }
  return { hasStarted, isComplete, jobs }
}

/** Part of a job: what was printed from a frame to the next `part`. */
export interface JobPart {
  readonly name: string
  readonly rest: readonly string[]
  readonly text: string
  readonly status: number | undefined
  readonly missing: string | undefined
  readonly words: readonly { readonly word: string; readonly rest: readonly string[] }[]
}

/** The part before the first `part` frame has the empty name. */
export function partsOf({ frames }: JobOutput): JobPart[] {
  const parts: { name: string; rest: readonly string[]; frames: Frame[] }[] = [
    { name: '', rest: [], frames: [] },
  ]
  for (const frame of frames) {
    if (frame.kind === 'word' && frame.word === 'part') {
      const [name = '', ...rest] = frame.rest
      parts.push({ name, rest, frames: [] })
    } else parts.at(-1)?.frames.push(frame)
  }
  return parts.map(({ name, rest, frames: own }) => {
    const words = own.flatMap((frame) =>
      frame.kind === 'word' ? [{ word: frame.word, rest: frame.rest }] : [],
    )
    const status = words.find(({ word }) => word === 'status')?.rest[0]
    return {
      name,
      rest,
      text: own.flatMap((frame) => (frame.kind === 'line' ? [frame.text] : [])).join('\n'),
      status: status === undefined || !/^\d{1,3}$/u.test(status) ? undefined : Number(status),
      missing: words.find(({ word }) => word === 'missing')?.rest.join(' '),
      words,
    }
  })
}

/** Exit codes of `timeout` and of a program that it ended. */
export function isTimeoutCode(code: number | undefined): boolean {
  return code === 124 || code === 137 || code === 143
}
