import { z } from 'zod'

/**
 * What an operator gets to see of a failure, and what crosses the contract, the events and the journal.
 * Never contains a secret.
 */
export const appErrorDataSchema = z.strictObject({
  /** Stable identifier for programs and for the documentation, e.g. `LOGIN_REFUSED`. */
  code: z.string().regex(/^[A-Z][A-Z0-9_]*$/),
  /** One short sentence: what did not work. */
  title: z.string().min(1),
  /** What was seen: values, answers, last lines. */
  detail: z.string(),
  /** What the operator can do, most likely first. */
  remedies: z.array(z.string()),
  /** Name of the node as in the plan. */
  node: z.string().optional(),
  /** Id of the phase. */
  phase: z.string().optional(),
  /** True when the same act may succeed later without anybody doing anything (a reboot, a lost packet). */
  isTransient: z.boolean(),
})

export type AppErrorData = z.infer<typeof appErrorDataSchema>

export interface AppErrorInit {
  code: string
  title: string
  detail?: string
  remedies?: readonly string[]
  node?: string | undefined
  phase?: string | undefined
  isTransient?: boolean
  cause?: unknown
}

/** The one error type of the product. Everything else that is thrown is a bug and is reported as one. */
export class AppError extends Error {
  readonly code: string
  readonly title: string
  readonly detail: string
  readonly remedies: readonly string[]
  readonly node: string | undefined
  readonly phase: string | undefined
  readonly isTransient: boolean

  constructor(init: AppErrorInit) {
    super(init.detail === undefined || init.detail === '' ? init.title : `${init.title} ${init.detail}`, {
      cause: init.cause,
    })
    this.name = 'AppError'
    this.code = init.code
    this.title = init.title
    this.detail = init.detail ?? ''
    this.remedies = init.remedies ?? []
    this.node = init.node
    this.phase = init.phase
    this.isTransient = init.isTransient ?? false
  }

  /** The same error with node and phase filled in where they were still unknown. */
  at(place: { node?: string | undefined; phase?: string | undefined }): AppError {
    if ((this.node ?? place.node) === this.node && (this.phase ?? place.phase) === this.phase) return this
    return new AppError({
      code: this.code,
      title: this.title,
      detail: this.detail,
      remedies: this.remedies,
      isTransient: this.isTransient,
      node: this.node ?? place.node,
      phase: this.phase ?? place.phase,
      cause: this.cause ?? this,
    })
  }

  toData(): AppErrorData {
    return {
      code: this.code,
      title: this.title,
      detail: this.detail,
      remedies: [...this.remedies],
      ...(this.node === undefined ? {} : { node: this.node }),
      ...(this.phase === undefined ? {} : { phase: this.phase }),
      isTransient: this.isTransient,
    }
  }
}

/**
 * Wraps whatever was thrown exactly once: an `AppError` stays itself, anything else is a bug of the product and
 * says so, with the original as `cause`.
 */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  return new AppError({
    code: 'INTERNAL',
    title: 'Landfall itself made an error.',
    detail: `${error.name}: ${error.message}`,
    remedies: [
      'Start again with --resume; nothing that was done is lost.',
      'Report it together with the log file.',
    ],
    cause: error,
  })
}
