export { macAddressSchema, observationSchema, type Observation } from './observation.ts'
export {
  addressReportSchema,
  freeAddressReportSchema,
  vantageReportSchema,
  type AddressReport,
  type FreeAddressReport,
  type VantageReport,
} from './report.ts'
