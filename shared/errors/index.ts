export {
  AppError,
  appErrorDataSchema,
  toAppError,
  type AppErrorData,
  type AppErrorInit,
} from './app-error.ts'
export { assertNever } from './assert-never.ts'
