import { AppError } from '../../shared/errors/index.ts'

/** Asks the operator for secrets. */
export interface Prompter {
  /** False when nobody can answer: a pipe, a service, a CI job. */
  readonly isInteractive: boolean
  /** The answer, which is not shown while it is typed. Rejects with `STOPPED_BY_OPERATOR` on Ctrl+C. */
  askHidden(question: string): Promise<string>
}

/** What of a terminal's input the prompter uses; `process.stdin` is one. */
export interface TerminalInput extends NodeJS.ReadableStream {
  isTTY?: boolean
  isRaw?: boolean
  setRawMode?(isRaw: boolean): unknown
}

/** Asks on a terminal. Questions go to `output` (standard error, so that standard output stays for results). */
export function createTerminalPrompter(input: TerminalInput, output: NodeJS.WritableStream): Prompter {
  return {
    isInteractive: input.isTTY === true && typeof input.setRawMode === 'function',
    askHidden: (question) => askHidden(input, output, question),
  }
}

/** For programs in which nobody can be asked. */
export const silentPrompter: Prompter = {
  isInteractive: false,
  askHidden: () => Promise.reject(stopped('There is no terminal to answer on.')),
}

function stopped(detail: string): AppError {
  return new AppError({
    code: 'STOPPED_BY_OPERATOR',
    title: 'The question for a secret was not answered.',
    detail,
    remedies: ['Start again and answer it, or give the secret as an environment variable or in the vault.'],
  })
}

/** Arrow and function keys, and the marks around a pasted text. Built from a text: a literal may not hold ESC. */
const ESCAPE_SEQUENCES = new RegExp(`${String.fromCharCode(27)}(\\[[0-9;?]*[ -/]*[@-~]|O.)`, 'g')

/** What one chunk of terminal input does to the answer. */
function readKeys(answer: string, keys: string): { answer: string; end?: 'enter' | 'stop' } {
  let typed = answer
  const plain = keys.replaceAll(ESCAPE_SEQUENCES, '')
  for (const key of plain) {
    switch (key) {
      case '\r':
      case '\n':
        return { answer: typed, end: 'enter' }
      case '\u0003':
        return { answer: '', end: 'stop' }
      case '\u0004':
        return { answer: typed, end: typed === '' ? 'stop' : 'enter' }
      case '\u0015':
        typed = ''
        break
      case '\u007f':
      case '\b':
        typed = [...typed].slice(0, -1).join('')
        break
      default:
        if (key >= ' ') typed += key
    }
  }
  return { answer: typed }
}

function askHidden(input: TerminalInput, output: NodeJS.WritableStream, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const wasRaw = input.isRaw === true
    const decoder = new TextDecoder()
    let answer = ''

    const finish = (settle: () => void): void => {
      input.off('data', handleData)
      input.off('end', handleEnd)
      input.off('error', handleError)
      if (!wasRaw) input.setRawMode?.(false)
      input.pause()
      output.write('\n')
      settle()
    }
    const handleData = (chunk: Buffer | string): void => {
      const keys = readKeys(
        answer,
        typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }),
      )
      answer = keys.answer
      if (keys.end === 'enter') {
        finish(() => {
          resolve(answer)
        })
      } else if (keys.end === 'stop') {
        finish(() => {
          reject(stopped('You pressed Ctrl+C or Ctrl+D.'))
        })
      }
    }
    const handleEnd = (): void => {
      finish(() => {
        reject(stopped('The terminal was closed.'))
      })
    }
    const handleError = (error: Error): void => {
      finish(() => {
        reject(stopped(`The terminal failed: ${error.message}.`))
      })
    }
    // First: an answer that is pasted as soon as the question appears must not be echoed.
    input.setRawMode?.(true)
    output.write(`${question}: `)
    input.on('data', handleData)
    input.on('end', handleEnd)
    input.on('error', handleError)
    input.resume()
  })
}
