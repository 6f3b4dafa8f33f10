/** The Moray client on a real PostgreSQL, held to moray.md. */
import { Postgres } from '../support/postgresql';
import { bucketTests } from './moray-client-buckets';
import { filterTests } from './moray-client-filters';
import { findTests } from './moray-client-find';
import { neighbourTests } from './moray-client-neighbour';
import { objectTests } from './moray-client-objects';

describe('the Moray client', () => {
    let postgres: Postgres;

    before(async function () {
        postgres = await Postgres.start(this);
    });

    after(async () => {
        await (postgres as Postgres | undefined)?.stop();
    });

    for (const tests of [bucketTests, objectTests, neighbourTests, findTests, filterTests]) {
        tests(() => postgres);
    }
});
