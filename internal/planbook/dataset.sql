-- The data set: a million rows, the same on every run and every server. Each of the five columns has
--   value 1 (client 10): two fifths of all rows, old and new (of the client: a sixth);
--   value 2 (client 20): two fifths of the older half, none in the newer: a customer that has left;
--   values from 1000 on: 200 templates, 2,000 integrations with ten clients each, 20,000 users and accounts;
--   value 900001: twenty old rows, the same twenty in every column.
--
-- Most tasks are completed, one in a hundred has failed. Of the newest ten thousand, one in twenty is in processing
-- and the others are pending. Five of the twenty rare ones are pending, too, and have waited for long.
INSERT INTO tasks (
    id, integration_id, client_id, user_id, account_id, template_id, argument, status, created_at, updated_at)
SELECT
    n, integration,
    CASE WHEN rare THEN 900001 ELSE integration * 10 + CASE WHEN b % 5 < 2 THEN 0 ELSE 1 + b / 5 % 9 END END,
    CASE WHEN rare THEN 900001 WHEN c % 5 < 2 THEN 1 WHEN c % 5 < 4 THEN dormant ELSE 1000 + c / 5 % 20000 END,
    CASE WHEN rare THEN 900001 WHEN d % 5 < 2 THEN 1 WHEN d % 5 < 4 THEN dormant ELSE 1000 + d / 5 % 20000 END,
    CASE WHEN rare THEN 900001 WHEN e % 5 < 2 THEN 1 WHEN e % 5 < 4 THEN dormant ELSE 1000 + e / 5 % 200 END,
    '{"project": "project ' || lpad((a % 100000)::text, 6, '0') || '", "status": "offline"}',
    CASE
        WHEN rare AND n < 2500 THEN 0
        WHEN n > 990000 THEN CASE WHEN f % 20 = 0 THEN 1 ELSE 0 END
        WHEN f % 100 = 0 THEN 3
        ELSE 2
    END,
    1721818960936 + n * 1000,
    1721818960936 + n * 1000 + 1
FROM (
    SELECT *,
        CASE WHEN rare THEN 900001 WHEN a % 5 < 2 THEN 1 WHEN a % 5 < 4 THEN dormant ELSE 1000 + a / 5 % 2000 END
            AS integration
    FROM (
        SELECT
            n,
            n % 500 = 7 AND n <= 10000 AS rare,
            CASE WHEN n <= 500000 THEN 2 ELSE 3 END AS dormant,
            (hashint8extended(n, 1) >> 8) & 16777215 AS a,
            (hashint8extended(n, 2) >> 8) & 16777215 AS b,
            (hashint8extended(n, 3) >> 8) & 16777215 AS c,
            (hashint8extended(n, 4) >> 8) & 16777215 AS d,
            (hashint8extended(n, 5) >> 8) & 16777215 AS e,
            (hashint8extended(n, 6) >> 8) & 16777215 AS f
        FROM generate_series(1::bigint, 1000000) AS n
    ) AS drawn
) AS numbers
ORDER BY n;

SELECT setval('tasks_id_seq', 1000000);
INSERT INTO task_keys (key, task_id) SELECT 'key' || id, id FROM tasks WHERE id % 10 = 0;

INSERT INTO task_failures (task_id, failures, reason, failed_at, retry_at)
SELECT id, 1, 'timeout', updated_at, CASE WHEN id % 2 = 0 THEN updated_at + 1000 END FROM tasks WHERE status = 3;
