import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import { writeFileAtomically } from './atomic-file.ts'

/** Whose attempts: an account of a node, by their names in the plan. */
export interface AccountOfNode {
  readonly node: string
  readonly account: string
}

/** Refused logins, over all runs of a site: the product locks an account after a few of them. */
export interface LoginAttempts {
  /** When this account refused us since it last accepted us; milliseconds since the Unix epoch, oldest first. */
  refusals(of: AccountOfNode): Promise<readonly number[]>
  /** Durable when it resolves. */
  noteRefused(of: AccountOfNode, at: number): Promise<void>
  /** An accepted login ends the count, at the product as here. */
  noteAccepted(of: AccountOfNode): Promise<void>
}

const fileSchema = z.object({
  version: z.literal(1),
  accounts: z.array(
    z.object({ node: z.string().min(1), account: z.string().min(1), refusedAt: z.array(z.number()) }),
  ),
})
type AttemptsFile = z.infer<typeof fileSchema>

/** More are of no interest: the account is locked long before. */
const mostKept = 10

/** The count in a file of the site. Throws `LOGIN_ATTEMPTS_UNREADABLE` or `LOGIN_ATTEMPTS_NOT_WRITTEN`. */
export function openLoginAttempts(file: string): LoginAttempts {
  let last: Promise<unknown> = Promise.resolve()
  /** One after the other, each from the file: another process may have noted something meanwhile. */
  const queue = <T>(act: () => Promise<T>): Promise<T> => {
    const next = last.then(act)
    last = next.catch(() => undefined)
    return next
  }
  const update = (of: AccountOfNode, change: (refusedAt: number[]) => number[]) =>
    queue(async () => {
      const content = await readAttempts(file)
      const known = content.accounts.find((one) => isSame(one, of))
      const refusedAt = change(known?.refusedAt ?? [])
      if (refusedAt.length === 0 && known === undefined) return
      const others = content.accounts.filter((one) => one !== known)
      const own = refusedAt.length === 0 ? [] : [{ ...of, refusedAt }]
      await writeAttempts(file, { version: 1, accounts: [...others, ...own] })
    })
  return {
    refusals: (of) =>
      queue(async () => (await readAttempts(file)).accounts.find((one) => isSame(one, of))?.refusedAt ?? []),
    noteRefused: (of, at) => update(of, (refusedAt) => [...refusedAt, at].slice(-mostKept)),
    noteAccepted: (of) => update(of, () => []),
  }
}

/** A count that is gone with the process. */
export function memoryLoginAttempts(): LoginAttempts {
  const counts = new Map<string, number[]>()
  const keyOf = ({ node, account }: AccountOfNode) => JSON.stringify([node, account])
  return {
    refusals: (of) => Promise.resolve(counts.get(keyOf(of)) ?? []),
    noteRefused: (of, at) => {
      counts.set(keyOf(of), [...(counts.get(keyOf(of)) ?? []), at].slice(-mostKept))
      return Promise.resolve()
    },
    noteAccepted: (of) => {
      counts.delete(keyOf(of))
      return Promise.resolve()
    },
  }
}

function isSame(one: AccountOfNode, other: AccountOfNode): boolean {
  return one.node === other.node && one.account === other.account
}

async function readAttempts(file: string): Promise<AttemptsFile> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return { version: 1, accounts: [] }
    throw unreadable(file, error)
  }
  try {
    return fileSchema.parse(JSON.parse(text))
  } catch (error) {
    throw unreadable(file, error)
  }
}

async function writeAttempts(file: string, content: AttemptsFile): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFileAtomically(file, `${JSON.stringify(content, undefined, 2)}\n`)
  } catch (error) {
    throw new AppError({
      code: 'LOGIN_ATTEMPTS_NOT_WRITTEN',
      title: 'The count of refused logins could not be saved.',
      detail: `${file}: ${messageOf(error)}`,
      remedies: ['Make room on the disk, or correct the permissions of the folder, then start again.'],
      cause: error,
    })
  }
}

function unreadable(file: string, error: unknown): AppError {
  return new AppError({
    code: 'LOGIN_ATTEMPTS_UNREADABLE',
    title: 'The file with the count of refused logins cannot be read.',
    detail: `${file}: ${error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)}`,
    remedies: [
      'If no login was refused in the last 15 minutes, delete the file and start again.',
      'Otherwise wait 15 minutes first.',
    ],
    cause: error,
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
