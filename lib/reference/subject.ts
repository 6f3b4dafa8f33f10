/** What a reference is about: the routes of one server, or all that any server can have. */
import type { Route } from '../api/route';
import type { Config, Mode } from '../config/types';

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
    /** Names of its channels; none for a server without channels. */
    readonly channels: readonly string[];
}

export function serverFacts({
    mode,
    authType,
    channels,
}: Pick<Config, 'mode' | 'authType' | 'channels'>): ServerFacts {
    return {
        mode,
        signatures: authType === 'signature',
        channels: (channels ?? []).map(({ name }) => name),
    };
}
