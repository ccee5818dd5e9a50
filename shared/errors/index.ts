export { AppError, appErrorDataSchema, toAppError, type AppErrorData } from './app-error.ts'
export { assertNever } from './assert-never.ts'
