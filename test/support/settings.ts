/** The servers, callers and images that tests over all modes go through. */
import type { AuthConfig, Config, Mode, Role } from '../../lib/config/types';
import type { RawImage } from '../../lib/manifest';
import { FILE, ICON, MANIFEST, md5, OTHER, OWNER, sha1, STRANGER } from './api';
import { CHANNELS, DEFAULT_CHANNEL } from './channels';
import { testImage } from './images';
import { OpenLdap } from './openldap';
import { Registry, testKeys } from './registry';

/** A server. */
export interface Setting {
    readonly mode: Mode;
    readonly channels: boolean;
    /** Callers sign in a datacenter as well. */
    readonly signs?: true;
    /** Images are read by signed requests only. */
    readonly signedReads?: true;
    /** Images that are not active are there for signed requests only. */
    readonly hides?: true;
}

/** All of the three modes, each without and with channels. */
export const SETTINGS: readonly Setting[] = (['public', 'private', 'dc'] as const).flatMap((mode) => [
    { mode, channels: false },
    { mode, channels: true },
]);

/** In a datacenter requests come from its own network and are not signed. */
export const authType = ({ mode, signs }: Setting): 'none' | 'signature' =>
    mode === 'dc' && !signs ? 'none' : 'signature';

/** The blocks of the configuration that make a server of the setting. */
export const configOf = (
    setting: Setting,
): Pick<Config, 'mode' | 'authType' | 'channels'> & { auth: Partial<AuthConfig> } => ({
    mode: setting.mode,
    authType: authType(setting),
    ...(setting.channels && { channels: CHANNELS }),
    auth: {
        ...(setting.signedReads && { reads: 'signed' }),
        ...(setting.hides && { hideUnpublished: true }),
    },
});

export interface Caller {
    readonly name: string;
    readonly signed: boolean;
    /** The `account` parameter. */
    readonly account?: string;
    /** What the caller may do; everything, everywhere, if absent. */
    readonly grant?: { readonly role: Role; readonly channels?: readonly string[] };
}

/** What makes users of callers with grants: their keys, and what they may do. */
export function usersOf(callers: readonly Caller[]): {
    authKeys: Record<string, string[]>;
    roles: AuthConfig['roles'];
} {
    const users = callers.flatMap((caller) =>
        caller.grant ? [{ user: userOf(caller), ...caller.grant }] : [],
    );
    const [key] = testKeys();
    return {
        authKeys: Object.fromEntries(
            ['alice', ...users.map(({ user }) => user)].map((user) => [user, [key.publicLine]]),
        ),
        roles: Object.fromEntries(
            users.map(({ user, role, channels }) => [
                user,
                channels ? { role, channels: [...channels] } : role,
            ]),
        ),
    };
}

/** The user of a caller with a grant, by its name. */
export const userOf = ({ name }: Caller): string => name.replaceAll(' ', '-');

export const OPERATOR: Caller = { name: 'an operator', signed: true };
/** In the access list of every image. */
export const FRIEND = OTHER;

export const CALLERS: readonly Caller[] = [
    { name: 'an anonymous caller', signed: false },
    { name: 'an anonymous caller for the owner', signed: false, account: OWNER },
    OPERATOR,
    { name: 'the owner', signed: true, account: OWNER },
    { name: 'an account on the access list', signed: true, account: FRIEND },
    { name: 'another account', signed: true, account: STRANGER },
    { name: 'an account that is no uuid', signed: true, account: 'me' },
];

/** The images that there are: active and public, active and private, not activated yet. */
export type Kind = 'open' | 'closed' | 'draft';

/** Of those, the ones that a server may have (manifest.md §4). */
export function kinds({ mode }: Setting): Kind[] {
    switch (mode) {
        case 'public':
            return ['open', 'draft'];
        case 'private':
            return ['closed', 'draft'];
        case 'dc':
            return ['open', 'closed', 'draft'];
    }
}

/** Whether the account sees the image; the access rule of endpoints.md §2. */
export function mayRead(account: string | undefined, kind: Kind): boolean {
    if (account === undefined || account === OWNER) {
        return true;
    }
    return kind !== 'draft' && (kind === 'open' || account === FRIEND);
}

/** The record of an image of a kind, with {@link FILE} and {@link ICON}, in the default channel if there are channels. */
export function makeImage(
    n: number,
    { mode, channels }: Setting,
    kind: Kind,
    fields: Partial<RawImage> = {},
): RawImage {
    const date = '2020-01-01T00:00:00.000Z';
    const about = {
        sha1: sha1(FILE),
        size: FILE.length,
        contentMD5: md5(FILE),
        stor: 'local' as const,
        mtime: date,
    };
    return testImage(n, {
        owner: OWNER,
        acl: [FRIEND],
        public: mode === 'public' || (mode === 'dc' && kind !== 'closed'),
        ...(kind === 'draft' && { activated: false, state: 'unactivated' }),
        ...(channels && { channels: [DEFAULT_CHANNEL] }),
        files: [{ ...about, compression: 'none' }],
        icon: {
            contentType: 'image/png',
            contentMD5: md5(ICON),
            sha1: sha1(ICON),
            size: ICON.length,
            stor: 'local',
            mtime: date,
        },
        ...fields,
    });
}

export const nameOf = ({ mode, channels, signs, signedReads, hides }: Setting): string =>
    [
        `mode ${mode} ${channels ? 'with' : 'without'} channels`,
        ...(signs ? ['signatures'] : []),
        ...(signedReads ? ['signed reads'] : []),
        ...(hides ? ['drafts hidden'] : []),
    ].join(', ');

/** {@link MANIFEST} in a form that a server of the setting takes. */
export const manifestFor = ({ mode }: Setting): typeof MANIFEST => ({
    ...MANIFEST,
    public: mode === 'public',
});

/**
 * A server of a setting; in a datacenter with a directory that knows the owner of all images.
 * Skips the tests of `context` where that directory cannot be had.
 */
export async function startSetting(
    setting: Setting,
    context: Mocha.Context,
    config: Record<string, unknown> = {},
): Promise<{ registry: Registry; stop: () => Promise<void> }> {
    const directory = setting.mode === 'dc' ? await OpenLdap.start(context) : undefined;
    await directory?.addAccount(OWNER, 'owner');
    const registry = await Registry.start({
        ...configOf(setting),
        ...(directory && { datacenterName: 'test', ufds: directory.config }),
        ...config,
    });
    const stop = async (): Promise<void> => {
        await registry.stop();
        await directory?.stop();
    };
    return { registry, stop };
}
