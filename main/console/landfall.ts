import process from 'node:process'
import { createProgram } from './program.ts'
import { reportFailure } from './report-failure.ts'

try {
  process.exitCode = await createProgram().run(process.argv)
} catch (error) {
  process.exitCode = reportFailure(error)
}
