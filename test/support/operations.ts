/**
 * What the contract says of each operation, in few words: who may call it, and what a right request is answered with.
 * `predict` makes of it the answer to any caller on any server (endpoints.md §1.5, §2 and §3, auth.md §1, daemon.md §5).
 *
 * It is written down here a second time, beside the route table, so that a row with a step too few is found.
 */
import type { Role } from '../../lib/config/types';
import type { ErrorCode } from '../../lib/errors';
import { FILE, ICON, OWNER, STRANGER } from './api';
import { CHANNELS, DEFAULT_CHANNEL, OTHER_CHANNEL } from './channels';
import { authType, FRIEND, manifestFor, mayRead, type Caller, type Kind, type Setting } from './settings';

/** A status that is no error, or a code with the fields it is about (`field:code`). */
export type Outcome = number | readonly [ErrorCode, ...string[]];

/** A request whose path, query and body are right, but for what the caller may not do. */
export interface Situation {
    readonly setting: Setting;
    readonly caller: Caller;
    readonly kind: Kind;
    /** The `channel` parameter; absent is the default one, which the image is in. */
    readonly channel?: string | undefined;
    /** The image is in {@link OTHER_CHANNEL} as well. */
    readonly isWide?: boolean | undefined;
}

export interface Operation {
    /** The least role that may call it; absent for what everybody may. */
    readonly role?: Role;
    /** It shows images, so that everybody may call it unless the server wants reads to be signed. */
    readonly isRead?: true;
    /** What it does to an image is done in the channel of the request only, or to no image. */
    readonly inOneChannel?: true;
    /**
     * - `server`: whoever passes the authentication; there is no image, and no `account` is looked at
     * - `account`: the same, but the account has to be a uuid
     * - `operator`: no account
     * - `reader`: whoever may see the image
     * - `operator-reader`: whoever may see the image, but no account
     * - `owner`: of those who may see the image, its owner or an operator
     */
    readonly access: 'server' | 'account' | 'operator' | 'reader' | 'operator-reader' | 'owner';
    /** The servers that have it; all if absent. */
    readonly only?: (setting: Setting) => boolean;
    /** Whether the channel is looked at, and whether `*` is one; by default as for a change, where `*` is none. */
    readonly channel?: 'ignored' | 'any' | 'one';
    /** The path names an image that is there (the default), or one that is to come. */
    readonly image?: 'new';
    readonly path?: string;
    readonly query?: string;
    readonly body?: Buffer | ((uuid: string, setting: Setting) => unknown);
    readonly contentType?: string;
    /** What those are answered who may call it. */
    readonly outcome: Outcome | ((situation: Situation) => Outcome);
}

const READ = { access: 'reader', isRead: true, channel: 'any', outcome: 200 } as const;
const CHANGE = { role: 'write', access: 'owner', outcome: 200 } as const;
const IMPORT = { role: 'admin', image: 'new' } as const;
const SERVER = { access: 'server', channel: 'ignored', outcome: 200 } as const;
const ADMIN = { ...SERVER, role: 'admin' } as const;
const NO_ACTION: Outcome = ['InvalidParameter', 'action:Invalid'];

const isDraft = ({ kind }: Situation): boolean => kind === 'draft';

/** By the name of the route. The image is in the default channel, has {@link FILE} and {@link ICON}, and belongs to OWNER. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
    Ping: SERVER,
    GetHealth: SERVER,
    GetReadiness: SERVER,
    AdminGetState: ADMIN,
    AdminUpdateState: { ...ADMIN, query: 'action=dropcaches', outcome: 202 },
    AdminReloadAuthKeys: ADMIN,
    ListChannels: { ...SERVER, isRead: true, only: ({ channels }) => channels },
    GetFavicon: SERVER,

    RedirectRoot: { ...SERVER, outcome: 301 },
    RedirectDocs: { ...SERVER, outcome: 301 },
    PublicDocs: SERVER,
    PublicDocsEndpoints: SERVER,
    PublicDocsObjects: SERVER,
    PublicDocsErrors: SERVER,
    PublicDocsOpenApi: SERVER,
    PublicDocsStyle: SERVER,

    ListImages: { ...SERVER, isRead: true, channel: 'any' },
    CreateImage: {
        role: 'write',
        access: 'account',
        body: (_uuid, setting) => manifestFor(setting),
        outcome: created,
    },
    CreateImageFromVm: { role: 'write', access: 'server', outcome: ['NotAvailable'] },
    CreateImageAction: { role: 'write', access: 'server', query: 'action=fly', outcome: NO_ACTION },

    GetImage: READ,
    DeleteImage: { ...CHANGE, inOneChannel: true, outcome: 204 },
    ActivateImage: { ...CHANGE, outcome: (one) => (isDraft(one) ? 200 : ['ImageAlreadyActivated']) },
    EnableImage: CHANGE,
    DisableImage: CHANGE,
    UpdateImage: { ...CHANGE, body: () => ({ description: 'changed' }) },
    ChannelAddImage: {
        ...CHANGE,
        inOneChannel: true,
        only: ({ channels }) => channels,
        body: () => ({ channel: OTHER_CHANNEL }),
        outcome: ({ caller: { grant } }) =>
            grant?.channels?.includes(OTHER_CHANNEL) === false ? ['NotAuthorized'] : 200,
    },
    ImageAction: { ...CHANGE, query: 'action=fly', outcome: NO_ACTION },
    AddImageAcl: { ...CHANGE, body: () => [STRANGER] },
    RemoveImageAcl: { ...CHANGE, body: () => [STRANGER] },
    ImageAclAction: { ...CHANGE, query: 'action=fly', outcome: NO_ACTION },

    AddImageFile: {
        ...CHANGE,
        query: 'compression=none',
        body: FILE,
        outcome: (one) => (isDraft(one) ? 200 : ['ImageFilesImmutable']),
    },
    AddImageFileFromUrl: {
        ...CHANGE,
        query: 'compression=none',
        outcome: (one) => (isDraft(one) ? ['InvalidParameter', 'file_url:Missing'] : ['ImageFilesImmutable']),
    },
    GetImageFile: READ,
    GetSecondImageFile: { ...READ, outcome: ['ResourceNotFound'] },
    AddImageIcon: { ...CHANGE, body: ICON, contentType: 'image/png' },
    GetImageIcon: READ,
    DeleteImageIcon: CHANGE,

    AdminImportImage: {
        ...IMPORT,
        access: 'operator',
        body: (uuid, setting) => ({
            v: 2,
            uuid,
            published_at: '2013-05-07T12:00:00.123Z',
            ...manifestFor(setting),
        }),
        outcome: 200,
    },
    // Without its parameter, which is looked at before the caller is.
    AdminImportRemoteImage: {
        ...IMPORT,
        access: 'server',
        outcome: ['ValidationFailed', 'source:MissingParameter'],
    },
    ImportFromDatacenter: {
        ...IMPORT,
        access: 'server',
        outcome: ({ caller: { account } }) =>
            account === undefined || account === 'me'
                ? ['ValidationFailed', 'account:Invalid']
                : ['ValidationFailed', 'datacenter:MissingParameter'],
    },
    AdminChangeImageStor: {
        role: 'admin',
        access: 'operator-reader',
        query: 'stor=local',
        outcome: ['NotImplemented'],
    },
    ExportImage: {
        ...CHANGE,
        inOneChannel: true,
        query: 'manta_path=/owner/stor/x',
        outcome: ['StorageUnsupported'],
    },
    CloneImage: {
        role: 'write',
        access: 'reader',
        only: ({ mode }) => mode === 'dc',
        channel: 'one',
        outcome: cloned,
    },

    // Outside of a datacenter nothing ever looked after jobs of images.
    ListImageJobs: {
        ...READ,
        outcome: ({ setting: { mode } }) => (mode === 'dc' ? 200 : ['ServiceUnavailableError']),
    },
    ListJobs: ADMIN,
    GetJob: { ...SERVER, outcome: ['ResourceNotFound'] },
    CancelJob: { ...ADMIN, outcome: ['ResourceNotFound'] },

    ListDatasets: { ...SERVER, outcome: 301 },
    GetDataset: { ...SERVER, outcome: 301 },
};

/** An account creates images of its own only. */
function created({ caller: { account } }: Situation): Outcome {
    return account === undefined || account === OWNER ? 200 : ['InvalidParameter', 'owner:Invalid'];
}

/** Only accounts that an image is shared with clone it, and only activated ones. */
function cloned({ caller: { account }, kind }: Situation): Outcome {
    if (account === undefined) {
        return ['InvalidParameter', 'account:Invalid'];
    }
    if (kind === 'draft') {
        return ['ValidationFailed', 'active:Invalid'];
    }
    return account === FRIEND ? 200 : ['ImageNotShared'];
}

const RANKS: readonly Role[] = ['read', 'write', 'admin'];

/** Whether what the caller may do counts in the channel; in all of them for `*`, and where there are none. */
function countsIn({ signed, grant }: Caller, channel: string | undefined): boolean {
    const { channels } = grant ?? {};
    return signed && (!channels || (channel !== undefined && channels.includes(channel)));
}

/** The refusal by what the caller may do anywhere: before anything of the request is looked at. */
function refusalOfCaller({ role, isRead }: Operation, { setting, caller }: Situation): Outcome | undefined {
    const needed = isRead && setting.signedReads ? 'read' : role;
    if (needed === undefined || authType(setting) === 'none') {
        return undefined;
    }
    if (!caller.signed) {
        return ['UnauthorizedError'];
    }
    const isSmaller = RANKS.indexOf(caller.grant?.role ?? 'admin') < RANKS.indexOf(needed);
    return isSmaller ? ['NotAuthorized'] : undefined;
}

/** The answer to a situation. The checks come in the order of the contract. */
export function predict(operation: Operation, situation: Situation): Outcome {
    const { setting, caller, kind, channel, isWide } = situation;
    const { access, role, outcome, inOneChannel } = operation;
    const { account } = caller;
    const refusal = refusalOfCaller(operation, situation);
    if (refusal) {
        return refusal;
    }
    const hasChannel = setting.channels && operation.channel !== 'ignored';
    const asked = channel ?? DEFAULT_CHANNEL;
    const isKnown =
        CHANNELS.some(({ name }) => name === asked) || (operation.channel === 'any' && asked === '*');
    if (hasChannel && !isKnown) {
        return ['ValidationFailed', 'channel:Invalid'];
    }
    const changes = role !== undefined && authType(setting) === 'signature';
    if (changes && hasChannel && !countsIn(caller, asked)) {
        return ['NotAuthorized'];
    }
    if (access === 'operator' && account !== undefined) {
        return ['OperatorOnly'];
    }
    if (access !== 'server' && account === 'me') {
        return ['InvalidParameter', 'account:Invalid'];
    }
    if (access === 'reader' || access === 'operator-reader' || access === 'owner') {
        const isThere =
            !hasChannel ||
            ['*', DEFAULT_CHANNEL].includes(asked) ||
            (isWide === true && asked === OTHER_CHANNEL);
        const isHidden = setting.hides && kind === 'draft' && !countsIn(caller, asked);
        if (!isThere || isHidden || !mayRead(account, kind)) {
            return ['ResourceNotFound'];
        }
        const everywhere = [DEFAULT_CHANNEL, ...(isWide ? [OTHER_CHANNEL] : [])];
        if (changes && hasChannel && !inOneChannel && !everywhere.every((one) => countsIn(caller, one))) {
            return ['NotAuthorized'];
        }
    }
    if (access === 'operator-reader' && account !== undefined) {
        return ['OperatorOnly'];
    }
    if (access === 'owner' && account !== undefined && account !== OWNER) {
        return ['NotImageOwner'];
    }
    return typeof outcome === 'function' ? outcome(situation) : outcome;
}
