export { createRunReporter, type RunReporter, type RunReporterOptions } from './run-reporter.ts'
