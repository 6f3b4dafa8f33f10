import { emptyTables, open } from '../support/moray-database';
import { Postgres } from '../support/postgresql';
import { describeDatabase } from './db';

describe('PostgreSQL in the layout of Moray', () => {
    let postgres: Postgres;

    before(async function () {
        postgres = await Postgres.start(this);
    });

    after(async () => {
        await postgres.stop();
    });

    describeDatabase('moray', async () => {
        const place = JSON.stringify(postgres.config);
        return {
            open: () => open(place),
            opener: { module: require.resolve('../support/moray-database'), place },
            // To make a database for each test would take longer than all the tests.
            remove: () => emptyTables(postgres),
        };
    });
});
