/** What a reference is about: the routes of one server, or all that any server can have. */
import type { Route } from '../api/route';
import type { Mode } from '../config/types';
import type { RouteConfig } from '../routes';

export interface Subject {
    readonly routes: readonly Route[];
    readonly version: string;
    /** The server that shows the pages; absent in those of the repository, which are about all servers. */
    readonly server?: ServerFacts;
}

export interface ServerFacts {
    readonly mode: Mode;
    /** Whether it checks signatures; if not, everybody may do everything. */
    readonly signatures: boolean;
    /** Whether images are read by signed requests only. */
    readonly signedReads: boolean;
    /** Whether images that are not active are there for signed requests only. */
    readonly hidesUnpublished: boolean;
    /** Whether there are users who may do less than others. */
    readonly roles: boolean;
    /** Names of its channels; none for a server without channels. */
    readonly channels: readonly string[];
}

export function serverFacts({
    mode,
    authType,
    channels,
    auth: { reads, hideUnpublished, roles },
}: Omit<RouteConfig, 'limits'>): ServerFacts {
    const signatures = authType === 'signature';
    return {
        mode,
        signatures,
        signedReads: reads === 'signed',
        hidesUnpublished: hideUnpublished,
        roles: signatures && Object.keys(roles).length > 0,
        channels: (channels ?? []).map(({ name }) => name),
    };
}
