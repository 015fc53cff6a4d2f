// Looks at each page of the site in Chromium, narrow and wide, light and dark: has it a heading, does nothing stick out to
// the right, has it contrast and whatever else axe finds wanting by WCAG 2 AA, do its pictures load, does each of its links
// lead to a page and an anchor that exist?
// SCREENSHOTS names a folder in which to leave pictures of the pages.
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const site = fileURLToPath(new URL('../../site', import.meta.url))
const origin = 'http://site.test'
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

if (!existsSync(executablePath)) {
  console.log(`${executablePath} does not exist (CHROMIUM names another): nobody has looked at the site`)
  process.exit()
}

const wrong = new Set()
const ids = new Map() // of each page
const links = []
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const page = await browser.newPage()
await page.route('**/*', (route) => {
  const path = new URL(route.request().url()).pathname
  return route.request().url().startsWith(origin) ? route.fulfill({ path: site + path }) : route.abort()
})

let name
const complain = (text) => wrong.add(`${name}: ${text}`)
page.on('console', (message) => message.type() === 'error' && complain(message.text()))
for (name of readdirSync(site).filter((file) => file.endsWith('.html') && file !== '404.html')) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.goto(`${origin}/${name}`)
    if (!(await page.locator('h1').first().isVisible())) complain('no heading can be seen')
    const dark = await page.evaluate(() => document.documentElement.classList.contains('dark'))
    if (dark !== (colorScheme === 'dark')) complain(`is not ${colorScheme}`)
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 1000 })
      const wide = await page.evaluate(() => document.documentElement.scrollWidth)
      if (wide > width) complain(`${wide} px wide in a window of ${width} px`)
      if (process.env.SCREENSHOTS) {
        const file = name.replace('.html', `-${width}-${colorScheme}.png`)
        await page.screenshot({ path: resolve(process.env.SCREENSHOTS, file) })
      }
    }
    await page.addScriptTag({ path: axe })
    const { violations } = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa'] }))
    for (const { help, nodes } of violations) complain(`${colorScheme}: ${help}: ${nodes[0].target} (${nodes.length})`)
  }
  const found = await page.evaluate(() => ({
    ids: [...document.querySelectorAll('[id]')].map((e) => e.id),
    links: [...document.querySelectorAll('a[href]')].map((e) => e.href),
    broken: [...document.images].filter((i) => !i.complete || i.naturalWidth === 0).map((i) => i.src),
  }))
  found.broken.forEach((src) => complain(`the picture ${src} does not load`))
  ids.set(`/${name}`, new Set(found.ids))
  links.push(...found.links.map((href) => ({ name, url: new URL(href) })))
}
await browser.close()

for (const link of links.filter(({ url }) => url.origin === origin)) {
  const { url } = link
  name = link.name
  const anchors = ids.get(url.pathname === '/' ? '/index.html' : url.pathname)
  if (!anchors) complain(`nothing is at ${url.pathname}`)
  else if (url.hash && !anchors.has(decodeURIComponent(url.hash.slice(1)))) complain(`no ${url.hash} in ${url.pathname}`)
}
console.log(`looked at ${ids.size} pages and ${links.length} links`)
if (wrong.size) {
  console.error([...wrong].join('\n'))
  process.exitCode = 1
}
