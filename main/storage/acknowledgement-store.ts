import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { acceptedWarningSchema, type AcceptedWarning } from '../../shared/checks/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import { writeFileAtomically } from './atomic-file.ts'

const fileSchema = z.strictObject({ version: z.literal(1), accepted: z.array(acceptedWarningSchema) })

/**
 * The warnings that were accepted on a site; none where there is no file.
 *
 * @throws AppError `ACKNOWLEDGEMENTS_UNREADABLE`: nobody knows what was accepted
 */
export async function readAcknowledgements(file: string): Promise<AcceptedWarning[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw unreadable(file, error)
  }
  try {
    return fileSchema.parse(JSON.parse(text)).accepted
  } catch (error) {
    throw unreadable(file, error)
  }
}

/** Adds to what was accepted; a later one for the same check and target replaces the earlier one. */
export async function addAcknowledgements(file: string, more: readonly AcceptedWarning[]): Promise<void> {
  const known = await readAcknowledgements(file)
  const isReplaced = (old: AcceptedWarning) =>
    more.some(({ id, target }) => id === old.id && target === old.target)
  const accepted = [...known.filter((old) => !isReplaced(old)), ...more]
  await writeFileAtomically(file, `${JSON.stringify({ version: 1, accepted }, undefined, 2)}\n`)
}

function unreadable(file: string, cause: unknown): AppError {
  return new AppError({
    code: 'ACKNOWLEDGEMENTS_UNREADABLE',
    title: 'The list of accepted warnings cannot be read.',
    detail: `${file}: ${cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause)}`,
    remedies: ['Look at the file; move it away to begin without accepted warnings.'],
    cause,
  })
}
