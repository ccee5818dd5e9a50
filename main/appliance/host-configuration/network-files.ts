import { cloudConfig } from './cloud-config.ts'
import type { InterfaceSettings } from './interface-settings.ts'

/** A file on the node, with its text. */
export interface ConfigurationFile {
  readonly path: string
  readonly content: string
}

/** Where a node keeps what must survive a restart (palette.md §6.2, §6.4). */
export interface NodePlaces {
  /** Cloud-configs, applied in lexical order at each boot. */
  readonly cloudConfigs: string
  /** Files of systemd-networkd. */
  readonly networkUnits: string
}

export const nodePlaces: NodePlaces = { cloudConfigs: '/oem', networkUnits: '/etc/systemd/network' }

/** Files of systemd-networkd for one interface, by name. */
type Units = readonly { readonly name: string; readonly content: string }[]

/** Lexically before those of images (10- and more): the first file whose `[Match]` fits is used (systemd.network(5)). */
const unitPrefix = '05-landfall'
/** Before the one that lasts, so that it wins while it is on trial. */
const trialPrefix = '04-landfall-trial'

/** What lasts: the unit files, and a cloud-config that writes them again at each boot, should they get lost. */
export function networkFiles(
  settings: InterfaceSettings,
  places: NodePlaces = nodePlaces,
): ConfigurationFile[] {
  const files = unitsOf(settings, unitPrefix).map(({ name, content }) => ({
    path: `${places.networkUnits}/${name}`,
    content,
  }))
  return [
    { path: `${places.cloudConfigs}/96_landfall_network.yaml`, content: cloudConfigOf(files) },
    ...files,
  ]
}

/** The same units, as they lie in /run/systemd/network while the change is on trial. */
export function trialUnits(settings: InterfaceSettings): Units {
  return unitsOf(settings, trialPrefix)
}

/** Name of the VLAN interface that these settings make; empty: none. */
export function vlanInterfaceOf({ name, vlan }: InterfaceSettings): string {
  return vlan === undefined ? '' : vlanName(name, vlan)
}

/** Written again at each boot, before networkd starts. */
function cloudConfigOf(files: readonly ConfigurationFile[]): string {
  return cloudConfig({
    name: 'Network',
    files: files.map(({ path, content }) => ({ path, permissions: 0o644, owner: 0, group: 0, content })),
  })
}

function unitsOf(settings: InterfaceSettings, prefix: string): Units {
  const { name, vlan } = settings
  if (vlan === undefined) {
    return [
      {
        name: `${prefix}-${name}.network`,
        content: unit([...matchOf(name), ...linkOf(settings), ...networkOf(settings)]),
      },
    ]
  }
  const tagged = vlanName(name, vlan)
  return [
    {
      name: `${prefix}-${tagged}.netdev`,
      content: unit([
        ['NetDev', [`Name=${tagged}`, 'Kind=vlan']],
        ['VLAN', [`Id=${String(vlan)}`]],
      ]),
    },
    {
      name: `${prefix}-${name}.network`,
      content: unit([
        ...matchOf(name),
        ...linkOf(settings),
        ['Network', [`VLAN=${tagged}`, 'LinkLocalAddressing=no']],
      ]),
    },
    {
      name: `${prefix}-${tagged}.network`,
      content: unit([...matchOf(tagged), ...linkOf(settings), ...networkOf(settings)]),
    },
  ]
}

type Section = readonly [name: string, lines: readonly string[]]

function unit(sections: readonly Section[]): string {
  return `${sections.map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`).join('\n')}`
}

function matchOf(name: string): Section[] {
  return [['Match', [`Name=${name}`]]]
}

function linkOf({ mtu }: InterfaceSettings): Section[] {
  return mtu === undefined ? [] : [['Link', [`MTUBytes=${String(mtu)}`]]]
}

function networkOf(settings: InterfaceSettings): Section[] {
  const { nameservers } = settings
  const common = nameservers.map((server) => `DNS=${server}`)
  if (settings.mode === 'dhcp') {
    return [
      ['Network', ['DHCP=ipv4', ...common]],
      // The lease's name servers must not stand beside those of the plan.
      ...(nameservers.length === 0 ? [] : [['DHCPv4', ['UseDNS=no']] as const]),
    ]
  }
  return [
    [
      'Network',
      [
        `Address=${settings.address}/${String(settings.prefix)}`,
        ...(settings.gateway === undefined ? [] : [`Gateway=${settings.gateway}`]),
        ...common,
      ],
    ],
  ]
}

function vlanName(name: string, vlan: number): string {
  return `${name}.${String(vlan)}`
}
