export { checkNodes } from './node-checks.ts'
