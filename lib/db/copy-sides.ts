/** Both databases of a configuration, as sides of a copy. */
import type { Clock } from '../clock';
import { pgAddress } from '../config/pg-address';
import type { Config } from '../config/types';
import type { CopySide, DatabaseType } from './copy-side';
import type { DatabaseLog } from './local';
import { LocalCopySide } from './local-copy';
import { PgConnections } from './moray-client/connections';
import { MorayCopySide } from './moray-copy';

/** @param config one that is checked for databaseType "moray" as well */
export function openSide(
    type: DatabaseType,
    { databaseDir, dataDir, moray }: Pick<Config, 'databaseDir' | 'dataDir' | 'moray'>,
    log: DatabaseLog,
    clock: Clock,
): CopySide {
    if (type === 'local') {
        return new LocalCopySide({ databaseDir, dataDir, log, clock });
    }
    if (moray?.pg === undefined) {
        throw new Error('config.moray.pg is missing.');
    }
    const { pg } = moray;
    return new MorayCopySide({
        connections: new PgConnections(pg, log, { name: 'imgapiadm' }),
        place: placeOf(pg),
        log,
        clock,
    });
}

function placeOf(pg: Parameters<typeof pgAddress>[0]): string {
    const { hosts, database } = pgAddress(pg);
    return `the PostgreSQL database "${database}" at ${hosts.map(({ name }) => name).join(', ')}`;
}
