// The site of these pages, in the order in which they are read. `make site` renders it.
import { existsSync, statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'

const docs = fileURLToPath(new URL('..', import.meta.url))
const root = resolve(docs, '..')
const repository = 'https://github.com/tasklane/tasks'

const page = (text, name) => ({ text, link: `/${name}` })

// outside rewrites a page's link to what is no page into one to the repository. It fails if there is nothing there.
function outside(link, from) {
  if (/^([a-z]+:|#|\/)/.test(link) || /\.(html|md)(#|$)/.test(link) && !link.startsWith('..')) return link
  const [path, anchor = ''] = link.split(/(?=#)/)
  const target = resolve(docs, dirname(from), path)
  if (!existsSync(target)) throw new Error(`docs/${from}: nothing is at ${link}`)
  return `${repository}/${statSync(target).isDirectory() ? 'tree' : 'blob'}/main/${relative(root, target)}${anchor}`
}

export default defineConfig({
  title: 'tasks',
  description: "A typed Go data layer for PostgreSQL's table tasks",
  outDir: '../site',
  cacheDir: '../bin/vitepress',
  rewrites: { 'start.md': 'index.md' },
  appearance: 'force-auto', // as the reader's system says, since the charts do the same
  vite: { build: { chunkSizeWarningLimit: 1000 } }, // of kB: the plan book
  themeConfig: {
    sidebar: [
      page('Start', ''),
      page('The store', 'store'),
      page('Work', 'work'),
      {
        text: 'Migrate',
        link: '/migrate',
        items: [
          page('A page to sign', 'report'),
          page('In a deploy', 'deploy'),
          page('From GORM', 'from-gorm'),
          page('从 GORM 迁移', 'from-gorm.zh-CN'),
        ],
      },
      {
        text: 'Operate',
        link: '/operate',
        items: [
          page('Gauges', 'gauges'),
          page('When the server fails', 'failover'),
          page('PgBouncer', 'pgbouncer'),
          page('Citus', 'citus'),
        ],
      },
      page('Performance', 'performance'),
      {
        text: 'Reference',
        link: '/reference',
        items: [page('Databases', 'databases'), page('The plan book', 'plans')],
      },
    ],
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: repository }],
  },
  transformPageData(page) { // one wide table takes the outline's room
    if (['databases.md', 'plans.md'].includes(page.relativePath)) page.frontmatter.aside = false
  },
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-default' }, // whose comments can be read
    config(md) {
      md.core.ruler.push('outside', ({ tokens, env }) => {
        for (const token of tokens.flatMap((t) => t.children ?? [])) {
          if (token.type === 'link_open') token.attrSet('href', outside(token.attrGet('href'), env.relativePath))
        }
      })
    },
  },
})
