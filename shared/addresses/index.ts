export { macAddressSchema, observationSchema, type Observation } from './observation.ts'
export {
  freeAddressReportSchema,
  type AddressReport,
  type FreeAddressReport,
  type VantageReport,
} from './report.ts'
