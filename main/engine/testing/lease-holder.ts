import { stdin, stdout } from 'node:process'
import { AppError } from '../../../shared/errors/index.ts'
import { acquireLease } from '../lease.ts'

/**
 * A process of its own that says `ready`, tries for the lease as soon as it gets a line, answers `held` or the code of
 * the error, and holds the lease until its standard input ends.
 */
const file = process.argv[2] ?? ''
stdout.write('ready\n')
stdin.once('data', () => {
  acquireLease(file).then(
    (lease) => {
      stdout.write('held\n')
      stdin.resume().once('end', () => {
        lease.release().then(
          () => process.exit(0),
          () => process.exit(1),
        )
      })
    },
    (error: unknown) => {
      stdout.write(`${error instanceof AppError ? error.code : String(error)}\n`)
      process.exit(0)
    },
  )
})
